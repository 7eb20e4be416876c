// Real data sets, where this machine has them: found as a person's program finds them.

#include <loru/data/data.hpp>

#include <optional>
#include <set>

#include "support/catch.hpp"

using namespace loru;

namespace {

/// The data set, or nothing where it is not to be had. Files that are there but broken still throw.
std::optional<data::Split> present(const data::Source& source) {
  try {
    return data::load(source);
  } catch (const DataError& error) {
    if (std::string(error.what()).find("data set not found") == std::string::npos) throw;
    return std::nullopt;
  }
}

void check_normalisation(const data::Dataset& train) {
  const data::Normalisation measured = data::measure(train, train.normalisation.unit);
  for (std::size_t c = 0; c < measured.mean.size(); ++c) {
    CHECK(std::abs(measured.mean[c] - train.normalisation.mean[c]) < 1e-3);
    CHECK(std::abs(measured.deviation[c] - train.normalisation.deviation[c]) < 1e-3);
  }
}

}  // namespace

TEST_CASE("real: Fashion-MNIST") {
  const auto split = present({.name = "fashion-mnist"});
  if (!split) LORU_SKIP("Fashion-MNIST is not on this machine");
  CHECK(split->train.size() == 60000);
  CHECK(split->test.size() == 10000);
  CHECK(split->train.sample == Shape{1, 28, 28});
  check_normalisation(split->train);
  const auto parts = data::iid(split->train, {.clients = 100});
  const auto batch = data::gather<float>(split->train, parts.samples(0));
  double sum = 0.0;
  for (float x : batch.inputs.span()) sum += x;
  CHECK(std::abs(sum / static_cast<double>(batch.inputs.size())) < 0.1);
}

TEST_CASE("real: MNIST") {
  const auto split = present({.name = "mnist"});
  if (!split) LORU_SKIP("MNIST is not on this machine");
  CHECK(split->train.size() == 60000);
  check_normalisation(split->train);
}

TEST_CASE("real: CIFAR-10, its first batch") {
  const auto split = present({.name = "cifar10", .batches = 1});
  if (!split) LORU_SKIP("CIFAR-10 is not on this machine");
  CHECK(split->train.size() == 10000);
  CHECK(split->test.size() == 10000);
}

TEST_CASE("real: Omniglot") {
  const auto split = present({.name = "omniglot"});
  if (!split) LORU_SKIP("Omniglot is not on this machine");
  CHECK(split->train.size() + split->test.size() == 4840);
  CHECK(split->train.classes == 242);
  CHECK(data::natural(split->train).clients() == 160);
  CHECK(data::natural(split->test).clients() == 160);
  check_normalisation(split->train);
}
