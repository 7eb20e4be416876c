// A small federation on the emulated device against the same one on the host.
#include <cstdlib>
#include <numeric>

#include <loru/cuda/cuda.cuh>
#include <loru/data/digits.hpp>
#include <loru/data/partition/iid.hpp>
#include <loru/fl/fl.hpp>
#include <loru/nn/models/models.hpp>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// The first digits, from LORU_TEST_DATA of the environment where the sources are elsewhere.
data::Split few_digits() {
  const char* const told = std::getenv("LORU_TEST_DATA");
  const data::Path folder = told ? data::Path{told} : data::Path{LORU_SOURCE_DIR} / "examples/data";
  const data::Split all = data::digits(folder);
  std::vector<Index> first(96), second(64);
  std::iota(first.begin(), first.end(), 0);
  std::iota(second.begin(), second.end(), 0);
  return {data::select(all.train, first), data::select(all.test, second)};
}

/// Three rounds with a merge after the second one.
template <class D>
std::vector<fl::Round> federation(const data::Split& set) {
  auto model = nn::mlp<float, D>({.height = 8, .width = 8, .seed = 3});
  lowrank::factorize(model, {.rank = 4, .alpha = 6.0});
  fl::Simulation simulation{std::move(model),
                            fl::FedLoRU{.tau = 2},
                            set,
                            data::iid(set.train, {.clients = 4}),
                            {.cohort = 2,
                             .client = {.batch = 12, .optimizer = {.learning_rate = 0.05, .momentum = 0.9}},
                             .seed = 5}};
  std::vector<fl::Round> rounds;
  for (const fl::Round& round : simulation.rounds(3)) rounds.push_back(round);
  return rounds;
}

}  // namespace

TEST_CASE("cuda federation: digits under FedLoRU train as on the host") {
  const data::Split set = few_digits();
  const auto expected = federation<Cpu>(set), got = federation<Cuda>(set);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CHECK(got[i].cohort == expected[i].cohort);
    CHECK(std::abs(got[i].train_loss - expected[i].train_loss) <= 1e-3 * expected[i].train_loss);
    CHECK(std::abs(got[i].test_loss - expected[i].test_loss) <= 1e-3 * expected[i].test_loss);
    CHECK(std::abs(got[i].test_accuracy - expected[i].test_accuracy) * 64.0 <= 1.01);
    CHECK(got[i].uplink_bytes == expected[i].uplink_bytes);
    CHECK(got[i].downlink_bytes == expected[i].downlink_bytes);
    CHECK(got[i].merges == expected[i].merges);
  }
}
