// Whole federations on a second device whose memory the host cannot read: the results are the host's to the
// bit.
#include <numeric>

#include <loru/data/digits.hpp>
#include <loru/data/partition/iid.hpp>

#include "federation.hpp"
#include "support/other_device_ops.hpp"

using namespace loru;
using namespace loru_test;

namespace {

struct Outcome {
  fl::Message model;
  std::vector<fl::Round> rounds;
  fl::PersonalAccuracy personal;
};

/// The model as the algorithm wants it, its layers factored even where it would train dense ones.
template <class D>
nn::Model<float, D> model_on(const std::string& name, const data::Dataset& set,
                             const fl::AnyAlgorithm<float, D>& algorithm = fl::FedLoRU{}) {
  const Shape& s = set.sample;
  auto model = nn::build<float, D>(
      name,
      {.channels = s[0], .height = s[1], .width = s[2], .classes = set.classes, .seed = 3, .narrow = 16});
  const lowrank::FactorizeOptions options{
      .rank = 4, .alpha = 6.0, .small_layers = lowrank::SmallLayers::dense};
  if (algorithm.low_rank)
    algorithm.parametrise(model, options);
  else
    lowrank::factorize(model, options);
  return model;
}

/// Three rounds with a merge after the second one.
template <class D>
Outcome federated(const std::string& name, const fl::AnyAlgorithm<float, D>& algorithm,
                  const data::Split& set, fl::ClientOptions client, const fl::RankOptions& ranks) {
  fl::Simulation<float, D> simulation{model_on<D>(name, set.train, algorithm),
                                      algorithm,
                                      set,
                                      data::iid(set.train, {.clients = 6}),
                                      {.cohort = 3, .client = client, .ranks = ranks, .seed = 5}};
  Outcome outcome;
  for (const fl::Round& round : simulation.rounds(3)) outcome.rounds.push_back(round);
  outcome.model = bits(simulation.model());
  outcome.personal = simulation.personal_accuracy({.images = 20});
  return outcome;
}

struct OnBoth {
  fl::AnyAlgorithm<float> here;
  fl::AnyAlgorithm<float, other::Device> there;

  template <fl::Algorithm A>
  OnBoth(const A& a) : here{a}, there{a} {}
};

void check_federation(const std::string& name, const OnBoth& algorithm, const data::Split& set,
                      const fl::ClientOptions& client, const fl::RankOptions& ranks = {}) {
  INFO(name << ", " << algorithm.here.name);
  const Outcome expected = federated<Cpu>(name, algorithm.here, set, client, ranks);
  const std::size_t before = other::operations;
  const Outcome got = federated<other::Device>(name, algorithm.there, set, client, ranks);
  CHECK(other::operations > before + 100);
  CHECK((got.model == expected.model));
  CHECK(got.personal.mean == expected.personal.mean);
  CHECK(got.personal.global_mean == expected.personal.global_mean);
  CHECK(got.personal.clients == 6);
  REQUIRE(got.rounds.size() == expected.rounds.size());
  for (std::size_t i = 0; i < got.rounds.size(); ++i) {
    CHECK(got.rounds[i].train_loss == expected.rounds[i].train_loss);
    CHECK(got.rounds[i].test_loss == expected.rounds[i].test_loss);
    CHECK(got.rounds[i].test_accuracy == expected.rounds[i].test_accuracy);
    CHECK(got.rounds[i].uplink_bytes == expected.rounds[i].uplink_bytes);
    CHECK(got.rounds[i].downlink_bytes == expected.rounds[i].downlink_bytes);
    CHECK(got.rounds[i].merges == expected.rounds[i].merges);
  }
}

/// 240 of the bundled digits.
data::Split few_digits() {
  const data::Split all = data::digits(data::Path{LORU_SOURCE_DIR} / "examples/data");
  std::vector<Index> first(180), second(60);
  std::iota(first.begin(), first.end(), 0);
  std::iota(second.begin(), second.end(), 0);
  return {data::select(all.train, first), data::select(all.test, second)};
}

}  // namespace

TEST_CASE("Digits under FedLoRU give the same bits on a second device") {
  check_federation(GENERATE("mlp", "cnn"), fl::FedLoRU{.tau = 2}, few_digits(), momentum_client());
}

TEST_CASE("Every algorithm gives the same bits on a second device") {
  fl::ClientOptions client = momentum_client();
  client.augment = {.pad = 1, .flip = true};
  client.optimizer.clip_norm = 1.0;
  const auto ranks =
      GENERATE(fl::RankOptions{}, fl::RankOptions{.rule = fl::RankRule::fixed, .values = {1, 4}});
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    if (refuses_ranks(A::name) && ranks.rule != fl::RankRule::same) return;
    check_federation("mlp", algorithm, small_data(), client, ranks);
  });
}

TEST_CASE("A residual network with Adam gives the same bits on a second device") {
  fl::ClientOptions client = momentum_client();
  client.optimizer.kind = optim::Kind::adam;
  check_federation("resnet10", fl::FedLoRU{.tau = 2}, small_data(), client);
}

TEST_CASE("A client on a second device that slept through merges answers with the host's bits") {
  const fl::FedLoRU algorithm{.tau = 1};
  const auto parts = small_parts(3);
  fl::Server<float> server(model_on<Cpu>("mlp", small_data().train, algorithm), algorithm, 5);
  auto here = model_on<Cpu>("mlp", small_data().train, algorithm);
  auto there = model_on<other::Device>("mlp", small_data().train, algorithm);
  const fl::DeviceData<other::Device> data(small_data().train);
  for (Index round = 1; round <= 4; ++round) {
    server.begin_round();
    const Index client = round == 2 || round == 3 ? 1 : 0;
    const auto broadcast = server.broadcast(client);
    auto up = fl::answer(here, broadcast, algorithm, small_data().train, parts.samples(0), momentum_client());
    if (client == 0)
      CHECK((up == fl::answer(there, broadcast, algorithm, data, parts.samples(0), momentum_client())));
    server.receive(std::move(up));
    server.finish_round();
    if (client == 1) here = model_on<Cpu>("mlp", small_data().train, algorithm);
  }
  CHECK(server.merges() == 4);
}

TEST_CASE("Models move between devices to the bit, as values and as files") {
  const std::string name = GENERATE("lenet", "resnet10");
  data::SyntheticOptions o{.classes = 4, .train = 8, .test = 8};
  o.sample = {2, 16, 16};
  const data::Split set = data::synthetic(o);
  auto here = model_on<Cpu>(name, set.train), trained = model_on<Cpu>(name, set.train);
  for (auto& p : trained.parameters()) add_scaled(p.value.mutable_value(), 0.5f, p.value.value());
  auto there = model_on<other::Device>(name, set.train);
  CHECK((bits(there) == bits(here)));
  nn::copy_values(trained, there);
  CHECK((bits(there) == bits(trained)));
  nn::copy_values(there, here);
  CHECK((bits(here) == bits(trained)));
  auto again = nn::build<float, other::Device>(
      name, {.channels = 2, .height = 16, .width = 16, .classes = 4, .narrow = 16});
  io::from_archive(again, io::to_archive(there));
  CHECK((bits(again) == bits(trained)));
  auto narrow = nn::build<float>("mlp", {.height = 4, .width = 4});
  CHECK_THROWS_AS(nn::copy_values(narrow, there), ShapeError);
}

TEST_CASE("Factors from a decomposition start on a second device") {
  auto here = small_model<float>("mlp");
  auto there = nn::build<float, other::Device>(
      "mlp", {.height = 8, .width = 8, .classes = 4, .seed = 3, .narrow = 16});
  const lowrank::FactorizeOptions o{.rank = 3, .start = lowrank::Start::svd};
  lowrank::factorize(here, o);
  lowrank::factorize(there, o);
  CHECK((bits(there) == bits(here)));
}
