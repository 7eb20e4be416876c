// The simulator: what its results depend on, and what they do not.
#include <atomic>
#include <mutex>
#include <ranges>
#include <set>

#include <loru/data/partition/virtual_clients.hpp>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

struct Run {
  fl::Message model;
  std::vector<fl::Round> rounds;
};

Run run(const std::string& name, fl::SimulationOptions options, double dropout = 0.0, Index rounds = 3) {
  fl::Simulation simulation{small_factored<float>(name, dropout), fl::FedLoRU{.tau = 2}, small_data(),
                            small_parts(7), options};
  Run result;
  for (const fl::Round& round : simulation.rounds(rounds)) result.rounds.push_back(round);
  result.model = bits(simulation.model());
  return result;
}

fl::SimulationOptions options(Index threads = 1, std::uint64_t seed = 5) {
  return {.cohort = 5, .client = momentum_client(), .seed = seed, .threads = threads};
}

/// FedAvg that notes which models and which frozen weights its clients train.
struct Witness {
  struct Notes {
    std::mutex mutex;
    std::set<const void*> models, weights;
    std::atomic<Index> turns{0};
  };
  Notes* notes = nullptr;

  static constexpr std::string_view name = "witness";
  static constexpr bool low_rank = true;
  using hooks = fl::Hooks<fl::hook::train>;
  static constexpr auto fields() { return Fields{}; }

  double train(const fl::Turn<float>& turn) const {
    {
      std::lock_guard lock{notes->mutex};
      // A model is moved from turn to turn; its layers stay where they are.
      turn.model.visit({.weight = [&](const std::string& layer, nn::Weight<float>& w) {
        if (layer == "fc2") notes->models.insert(&w);
      }});
      for (const auto& [layer, w] : frozen_weights(turn.model)) notes->weights.insert(w.data());
      ++notes->turns;
    }
    return fl::train(turn);
  }
};

}  // namespace

TEST_CASE("The model does not depend on the threads, but on the seed") {
  const std::string name = GENERATE("mlp", "resnet10");
  const Run one = run(name, options(1));
  CHECK(one.rounds.back().merges == 1);
  for (const Index threads : {1, 2, 3}) {
    const Run other = run(name, options(threads));
    INFO(threads << " threads");
    REQUIRE(other.model == one.model);
    for (std::size_t i = 0; i < one.rounds.size(); ++i) {
      CHECK(other.rounds[i].cohort == one.rounds[i].cohort);
      CHECK(other.rounds[i].train_loss == one.rounds[i].train_loss);
      CHECK(other.rounds[i].test_accuracy == one.rounds[i].test_accuracy);
      CHECK(other.rounds[i].test_loss == one.rounds[i].test_loss);
      CHECK(other.rounds[i].uplink_bytes == one.rounds[i].uplink_bytes);
      CHECK(other.rounds[i].downlink_bytes == one.rounds[i].downlink_bytes);
    }
  }
  CHECK(run(name, options(1, 6)).model != one.model);
}

TEST_CASE("Evaluation is the same for any threads and batch where sums are exact") {
  auto model = small_model<float>("resnet10");
  WorkerPool one(1), three(3);
  const auto a = train::evaluate(model, small_data().test, one, train::Classification{}, 7),
             b = train::evaluate(model, small_data().test, three, train::Classification{}, 7);
  CHECK(a.accuracy == b.accuracy);
  CHECK(a.loss == b.loss);
  CHECK(a.samples == 40);
  const auto whole = train::evaluate(model, small_data().test, one);
  CHECK(whole.accuracy == a.accuracy);
  CHECK(whole.loss == Approx(a.loss));
  CHECK_THROWS_AS(train::evaluate(model, data::Dataset{}, one), DataError);
  CHECK_THROWS_AS(train::evaluate(model, small_data().test, one, train::Classification{}, 0), ConfigError);
}

TEST_CASE("A federation learns") {
  fl::Simulation simulation{small_factored<float>(), fl::FedLoRU{.tau = 3}, small_data(), small_parts(7),
                            options()};
  const double before = simulation.evaluate().loss;
  double accuracy = 0.0;
  for (const fl::Round& round : simulation.rounds(8)) accuracy = round.test_accuracy;
  CHECK(accuracy > 0.9);
  CHECK(simulation.evaluate().loss < 0.5 * before);
  CHECK(simulation.evaluate().accuracy == accuracy);
}

TEST_CASE("Dropout between the factors trains and is drawn from the seed") {
  const std::string name = GENERATE("mlp", "resnet10");
  const Run one = run(name, options(1), 0.3);
  CHECK(run(name, options(3), 0.3).model == one.model);
  CHECK(run(name, options(1), 0.0).model != one.model);
  CHECK(one.rounds.back().train_loss < one.rounds.front().train_loss);
}

TEST_CASE("Augmented training is drawn from the seed") {
  auto augmented = options();
  augmented.client.augment = {.pad = 1, .flip = true};
  const Run one = run("mlp", augmented);
  augmented.threads = 2;
  CHECK(run("mlp", augmented).model == one.model);
  CHECK(run("mlp", options()).model != one.model);
}

TEST_CASE("A validation set is evaluated with the test set and changes nothing else") {
  data::Split split = small_data();
  split.validation = split.test;
  fl::Simulation validated{small_model<float>(), fl::FedAvg{}, split, small_parts(7), options()};
  fl::Simulation plain{small_model<float>(), fl::FedAvg{}, small_data(), small_parts(7), options()};
  const fl::Round with = validated.run_round(true), without = plain.run_round(true);
  CHECK(with.validation_metrics == with.test_metrics);
  CHECK(validated.validate()->loss == with.test_loss);
  CHECK(without.validation_metrics.empty());
  CHECK(!plain.validate());
  CHECK(bits(validated.model()) == bits(plain.model()));
  CHECK(validated.run_round(false).validation_metrics.empty());
}

TEST_CASE("Rounds run while they are iterated over") {
  auto o = options();
  o.eval_every = 2;
  fl::Simulation simulation{small_model<float>(), fl::FedAvg{}, small_data(), small_parts(7), o};
  static_assert(std::ranges::input_range<decltype(simulation.rounds(1))>);
  CHECK(std::ranges::distance(simulation.rounds(0)) == 0);
  CHECK(simulation.server().round() == 0);
  std::vector<Index> indices, evaluated;
  for (const fl::Round& round : simulation.rounds(5)) {
    CHECK(simulation.server().round() == round.index);
    CHECK(round.cohort == fl::sample_cohort(5, round.index, 7, 5));
    CHECK(round.train_seconds > 0.0);
    CHECK(round.seconds >= round.train_seconds);
    indices.push_back(round.index);
    if (round.evaluated()) evaluated.push_back(round.index);
  }
  CHECK(indices == std::vector<Index>{1, 2, 3, 4, 5});
  CHECK(evaluated == std::vector<Index>{2, 4, 5});
  for (const fl::Round& round : simulation.rounds(100))
    if (round.index == 7) break;
  CHECK(simulation.server().round() == 7);
  CHECK(simulation.run_round(false).index == 8);
  o.eval_every = 0;
  fl::Simulation silent{small_model<float>(), fl::FedAvg{}, small_data(), small_parts(7), o};
  for (const fl::Round& round : silent.rounds(2)) CHECK(!round.evaluated());
}

TEST_CASE("A loss that is not finite names round and client and leaves the model of the round before") {
  const Index threads = GENERATE(1, 2, 3);
  auto o = options(threads);
  o.client.schedule = {.kind = optim::ScheduleKind::step, .every = 2, .gamma = 1e30};  // from the third round
  fl::Simulation simulation{small_factored<float>(), fl::FedLoRU{.tau = 3}, small_data(), small_parts(7), o};
  simulation.run_round(false);
  simulation.run_round(false);
  const fl::Message good = bits(simulation.model());
  const Index first = fl::sample_cohort(5, 3, 7, 5).front();
  const std::string message = message_of<DivergedError>([&] { simulation.run_round(true); });
  CHECK_THAT(message, StartsWith(concat("round 3, client ", first, ": the loss is ")));
  CHECK_THAT(message, ContainsSubstring("at local step"));
  CHECK(bits(simulation.model()) == good);
  CHECK(simulation.server().merges() == 0);
}

TEST_CASE("A parameter that is not finite after the last step names round and client too") {
  auto o = options(2);
  o.client = {.epochs = 1, .batch = 1000, .optimizer = {.learning_rate = 1e39}};
  fl::Simulation simulation{small_model<float>(), fl::FedAvg{}, small_data(), small_parts(7), o};
  const fl::Message good = bits(simulation.model());
  const Index first = fl::sample_cohort(5, 1, 7, 5).front();
  const std::string message = message_of<DivergedError>([&] { simulation.run_round(false); });
  CHECK_THAT(message, StartsWith(concat("round 1, client ", first, ": fc")));
  CHECK_THAT(message, EndsWith("is not finite after training"));
  CHECK(bits(simulation.model()) == good);
}

TEST_CASE("Models grow with the threads, frozen weights exist once") {
  const Index clients = GENERATE(5, 48);
  Witness::Notes notes;
  fl::Simulation simulation{small_factored<float>(),
                            Witness{&notes},
                            small_data(),
                            small_parts(clients),
                            {.cohort = 5, .client = momentum_client(), .threads = 3}};
  std::set<const void*> own;
  for (const auto& [layer, w] : frozen_weights(simulation.model())) own.insert(w.data());
  for (int i = 0; i < 6; ++i) simulation.run_round(false);
  CHECK(notes.turns == 30);
  CHECK(notes.weights == own);
  CHECK(notes.models.size() <= 3);

  const void* shared = *own.begin();  // after a merge every model trains over the new weight
  simulation.server().merge(lowrank::MergeKind::reinit);
  notes.weights.clear();
  simulation.run_round(false);
  REQUIRE(notes.weights.size() == 1);
  CHECK(*notes.weights.begin() == frozen_weights(simulation.model()).at("fc2").data());
  CHECK(*notes.weights.begin() != shared);
}

TEST_CASE("Work and memory do not grow with the clients that are registered") {
  const auto federation = [](const fl::AnyAlgorithm<float>& algorithm, const std::string& name,
                             Index clients) {
    auto model = small_model<float>();
    algorithm.parametrise(model, {.rank = 2});
    const auto parts = data::virtual_clients(small_data().train, {.clients = clients, .samples = 6});
    fl::Simulation<float> simulation{model, algorithm, small_data(), parts, options()};
    INFO(name);
    for (const fl::Round& round : simulation.rounds(2)) {
      CHECK(round.cohort.size() == 5);
      CHECK(round.evaluated());
    }
    const auto personal = simulation.personal_accuracy({.images = 5, .clients = 8});
    CHECK(personal.clients == std::min<Index>(clients, 8));
    return bits(simulation.model());
  };
  fl::for_each_algorithm(
      [&]<class A>(A algorithm) { federation(algorithm, std::string(A::name), 0xffffffff); });
  // Of all five that are registered the rounds are those of any five clients with these samples.
  const auto parts = data::virtual_clients(small_data().train, {.clients = 5, .samples = 6});
  std::vector<std::vector<Index>> lists;
  for (Index k = 0; k < 5; ++k) lists.push_back(parts.samples(k));
  fl::Simulation listed{small_model<float>(), fl::FedAvg{}, small_data(), lists, options()};
  for (int i = 0; i < 2; ++i) listed.run_round(false);
  CHECK(bits(listed.model()) == federation(fl::FedAvg{}, "fedavg", 5));
}

TEST_CASE("A federation that cannot run is refused before its first round") {
  const auto error = [](fl::SimulationOptions o, data::Partition parts = small_parts(7)) {
    return message_of<ConfigError>(
        [&] { fl::Simulation(small_model<float>(), fl::FedAvg{}, small_data(), parts, o); });
  };
  const auto client = [&](auto change) {
    auto o = options();
    change(o.client);
    return error(o);
  };
  using Client = fl::ClientOptions;
  CHECK(error({.cohort = 8}) == "federation: cohort: expected 1 .. 7 (the clients), got 8");
  CHECK(error({.cohort = 0}) == "federation: cohort: expected 1 .. 7 (the clients), got 0");
  CHECK(error({.cohort = 1}, {}) == "federation: clients: expected at least 1, got 0");
  CHECK(error({.cohort = 1}, std::vector<std::vector<Index>>{{0, 1}, {}}) ==
        "federation: client 1: expected at least one sample");
  CHECK(error({.cohort = 1, .threads = 0}) == "threads: expected at least 1, got 0");
  CHECK(error({.cohort = 1, .eval_every = -1}) ==
        "federation: eval_every: expected a whole number >= 0, got -1");
  CHECK(client([](Client& c) { c.epochs = 0; }) ==
        "client: epochs: expected a whole number in 1 .. 2147483648, got 0");
  CHECK(client([](Client& c) { c.batch = 0; }) == "client: batch: expected a whole number >= 1, got 0");
  CHECK(client([](Client& c) { c.optimizer.learning_rate = 0.0; }) ==
        "optimizer: learning_rate: expected a number > 0, got 0");
  CHECK(client([](Client& c) { c.optimizer.learning_rate = std::nan(""); }) ==
        "optimizer: learning_rate: expected a number > 0, got nan");
  CHECK(client([](Client& c) { c.optimizer.clip_norm = -1.0; }) ==
        "optimizer: clip_norm: expected a number >= 0, got -1");
  CHECK(client([](Client& c) { c.optimizer.momentum = 1.0; }) ==
        "optimizer: momentum: expected a number in [0, 1), got 1");
  CHECK(client([](Client& c) { c.schedule.every = 0; }) ==
        "schedule: every: expected a whole number >= 1, got 0");
  CHECK(client([](Client& c) { c.schedule.kind = optim::ScheduleKind::cosine; }) ==
        "client: rounds: expected the number of rounds for a cosine schedule over rounds, got 0");
  CHECK(client([](Client& c) {
          c.schedule.kind = optim::ScheduleKind::cosine;
          c.schedule_per_step = true;
        }) == "nothing was thrown");
  static_assert(!std::is_constructible_v<fl::Simulation<float>, nn::Model<float>, fl::FedAvg, data::Split,
                                         data::Partition, fl::SimulationOptions>);
}
