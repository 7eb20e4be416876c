// Algorithms whose clients keep something, and how well each client is served.
#include <set>

#include <loru/data/partition/shards.hpp>
#include <loru/lowrank/rank.hpp>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

constexpr std::uint64_t seed = 5;
constexpr Index clients = 3;

template <class T>
std::size_t state_bytes(nn::Model<T>& model, const fl::Selection& selection = {}, bool buffers = true) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor, role] : model.state())
    if (fl::chosen(selection, {name, role})) bytes += static_cast<std::size_t>(tensor.size()) * sizeof(T);
  if (!buffers)
    for (const auto& [name, tensor, role] : model.buffers())
      bytes -= static_cast<std::size_t>(tensor.size()) * sizeof(T);
  return bytes;
}

/// Rounds of three clients through messages; all of them take part.
template <class T>
struct Federation {
  fl::AnyAlgorithm<T> algorithm;
  fl::ClientOptions options;
  data::Partition parts = small_parts(clients);
  fl::Server<T> server;
  std::vector<nn::Model<T>> devices;
  std::vector<io::Archive> states{clients};
  std::vector<std::size_t> up, down;

  Federation(nn::Model<T> start, fl::AnyAlgorithm<T> a, fl::ClientOptions o = momentum_client())
      : algorithm{a}, options{o}, server{start, a, seed, {.clients = clients}}, devices(clients, start) {}

  void round() {
    up.clear();
    down.clear();
    server.begin_round();
    for (Index k = 0; k < clients; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const fl::Message broadcast = server.broadcast(k);
      fl::Message update =
          fl::answer(devices[at], broadcast, algorithm, small_data().train, parts[at], options, states[at]);
      down.push_back(payload(broadcast));
      up.push_back(payload(update));
      server.receive(std::move(update));
    }
    server.finish_round();
  }
};

fl::SimulationOptions simulated(Index threads, std::shared_ptr<fl::ClientStore> store = {}) {
  return {.cohort = 3,
          .client = momentum_client(),
          .seed = seed,
          .threads = threads,
          .eval_every = 0,
          .store = std::move(store)};
}

double loss_of(nn::Model<double>& model, std::span<const Index> samples) {
  WorkerPool pool(1);
  return train::evaluate(model, small_data().train, samples, pool).loss;
}

}  // namespace

TEST_CASE("pfedloru without a personal part is FedLoRU bit for bit") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto start = small_factored<float>(name);
  Federation<float> plain(start, fl::FedLoRU{.tau = 2}),
      personal(start, fl::PFedLoRU{.tau = 2, .personal_alpha = 0.0}), other(start, fl::PFedLoRU{.tau = 2});
  for (int i = 0; i < 3; ++i) {
    plain.round();
    personal.round();
    other.round();
    CHECK(personal.down == plain.down);
    CHECK(personal.up == plain.up);
    CHECK(other.up == plain.up);
  }
  CHECK(bits(personal.server.model()) == bits(plain.server.model()));
  CHECK(bits(other.server.model()) != bits(plain.server.model()));
  CHECK(personal.states[0].size() == 0);
}

TEST_CASE("pfedloru with a personal part too small to show is FedLoRU bit for bit, phases and all") {
  auto start = small_factored<double>(GENERATE("mlp", "resnet10"));
  Federation<double> plain(start, fl::FedLoRU{.tau = 2}),
      personal(start, fl::PFedLoRU{.tau = 2, .personal_alpha = 1e-300});
  for (int i = 0; i < 3; ++i) {
    plain.round();
    personal.round();
  }
  CHECK(bits(personal.server.model()) == bits(plain.server.model()));
  CHECK(personal.states[0].size() == 2 * frozen_weights(start).size());
}

TEST_CASE("pfedloru's second phase is FedLoRU's turn over W + s_p·U·L") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto start = small_factored<double>(name, GENERATE(0.0, 0.3));
  const fl::PFedLoRU algorithm{.personal_rank = 3, .personal_alpha = 6.0};
  Federation<double> before(start, algorithm);
  before.round();
  auto& server = before.server;
  server.begin_round();
  const fl::Message broadcast = server.broadcast(1);
  auto model = before.devices[1], shifted = before.devices[1];
  io::Archive state = before.states[1];
  const auto part = small_parts(clients)[1];
  const auto update = fl::answer(model, broadcast, fl::AnyAlgorithm<double>(algorithm), small_data().train,
                                 part, momentum_client(), state);
  require_same_weights(model, before.devices[1]);  // W is as it was
  CHECK(state.size() == 2 * frozen_weights(start).size());
  CHECK(io::serialise(state) != io::serialise(before.states[1]));
  lowrank::for_each_weight<nn::Factored>(shifted, [&](const std::string& layer, nn::Factored<double>& f) {
    const auto l =
        to_layout(state.get<double>(layer + ".personal_A.weight", lowrank::factor_shape(f.shape(), 3)),
                  f.a().value().layout());
    const auto u = state.get<double>(layer + ".personal_B.weight", {f.shape()[0], 3});
    f.base().set_value(lowrank_compose(f.base().value(), l, u, 2.0));
  });
  CHECK(update == fl::answer(shifted, broadcast, fl::AnyAlgorithm<double>(fl::FedLoRU{}), small_data().train,
                             part, momentum_client()));
}

TEST_CASE("pfedloru's first phase is a turn that trains (L, U) over W + s·B·A, on streams of its own") {
  auto start = small_factored<double>("resnet10");
  const fl::PFedLoRU algorithm{.personal_rank = 3, .personal_alpha = 6.0};
  const auto part = small_parts(clients)[0];
  // A client that was never chosen has this phase only.
  io::Archive state, nothing;
  const auto options = momentum_client();
  auto fitted = start;
  algorithm.personalise(
      fl::Turn<double>{fitted, small_data().train, part, options, {seed, 1, 0}, state, nothing, nothing});
  CHECK(state.size() == 0);
  // By hand: the factors of the layers are (L, U) from their stream, all else stands still.
  auto model = start;
  const rng::Stream stream(seed, rng::Purpose::personal, 0, 0);
  std::uint32_t position = 0;
  model.visit({.weight = [&](const std::string&, nn::Weight<double>& w) {
    auto* f = w.as<nn::Factored<double>>();
    if (!f) return;
    const auto own = lowrank::initial_factors<double>(w.shape(), 3, stream.fork(++position));
    w = nn::Weight<double>(nn::Factored<double>(w.effective(), to_layout(own.a, f->a().value().layout()),
                                                own.b, {6.0, 0.0, f->plan_rule()}));
  }});
  for (auto& p : model.trained_parameters())
    if (!nn::is_factor(p.role)) p.value.set_requires_grad(false);
  const std::uint64_t own_seed = rng::Stream(seed, rng::Purpose::personal).fork(0).key();
  fl::train(
      fl::Turn<double>{model, small_data().train, part, options, {own_seed, 1, 0}, state, nothing, nothing});
  const auto got = lowrank::effective_weights(fitted), expected = lowrank::effective_weights(model);
  for (const auto& [layer, w] : expected) {
    INFO(layer);
    CHECK(difference(got.at(layer), w) < 1e-14);
    CHECK(difference(got.at(layer), lowrank::effective_weights(start).at(layer)) > 1e-6);
  }
  const auto s = start.state(), f = fitted.state();  // biases, A, B, statistics
  for (std::size_t i = 0; i < s.size(); ++i) CHECK(same_bits(s[i].value, f[i].value));
  CHECK(loss_of(fitted, part) < loss_of(start, part));
}

TEST_CASE("pfedloru refuses personal state of another model, and ranks that fit no layer") {
  const auto store = std::make_shared<fl::MemoryStore>();
  const auto start = small_factored<float>();
  const auto run = [&](Index rank) {
    fl::Simulation simulation{start, fl::PFedLoRU{.personal_rank = rank}, small_data(), small_parts(3),
                              simulated(1, store)};
    simulation.run_round(false);
  };
  run(8);
  CHECK(message_of<DataError>([&] { run(4); }) ==
        "client 0: personal state: fc2.personal_A.weight: expected (4, 256), got (8, 256)");
  CHECK(message_of<ConfigError>([] { fl::check(fl::PFedLoRU{.personal_rank = 0}); }) ==
        "pfedloru: personal_rank: expected a whole number >= 1, got 0");
  auto model = small_model<float>();
  CHECK(message_of<ConfigError>([&] {
          fl::AnyAlgorithm<float>(fl::PFedLoRU{.personal_rank = 257}).parametrise(model, {.rank = 2});
        }) == "pfedloru: layer fc2: personal_rank 257 exceeds min(in=256, out=256) = 256");
}

TEST_CASE("The angle between the shared and the personal update") {
  auto model = small_factored<double>();
  const auto start = lowrank::effective_weights(model);
  lowrank::Products<double> own;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<double>& f) {
    f.b().set_value(gaussian(f.b().shape()));
    own[layer] = {f.a().value(), f.b().value()};
  });
  fl::MemoryStore store;
  const auto overlap = [&](double sign) {
    auto p = own;
    for (auto& [layer, f] : p) {
      f.b = clone(f.b);
      add_scaled(f.b, sign - 1.0, own.at(layer).b);
    }
    io::Archive state;
    fl::put_personal_factors(state, p);
    store.save(4, state);
    return fl::personal_overlap(model, start, store, 9, 0.5).at("fc2");
  };
  const auto same = overlap(1.0), opposite = overlap(-2.0);
  CHECK(same.cosine == Approx(1.0));
  CHECK(opposite.cosine == Approx(-1.0));
  CHECK(same.global_norm == Approx(3.0 * same.personal_norm));  // s = 3 / 2 against 0.5
  CHECK(opposite.personal_norm == Approx(2.0 * same.personal_norm));
  CHECK(fl::personal_overlap(model, start, store, 4, 0.5).empty());
}

TEST_CASE("fedsa_lora shares A and keeps each client's B; their mean is for evaluation only") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto start = small_factored<float>(name);
  Federation<float> run(start, fl::FedSALoRA{});
  run.round();
  run.round();
  const std::size_t without_b = state_bytes(start, [](auto& t) { return t.role != nn::Role::up; });
  CHECK(run.up == std::vector(clients, without_b));
  CHECK(run.down == std::vector(clients, without_b));
  fl::MemoryStore store;
  for (Index k = 0; k < clients; ++k) store.save(k, run.states[static_cast<std::size_t>(k)]);
  auto evaluated = fl::with_mean_of_own(run.server.model(), run.algorithm.personal, store, run.parts);
  std::map<std::string, Tensor<float>> means;
  lowrank::for_each_weight<nn::Factored>(
      evaluated, [&](const std::string& layer, auto& f) { means[layer] = f.b().value(); });
  lowrank::for_each_weight<nn::Factored>(
      run.server.model(), [&](const std::string& layer, nn::Factored<float>& f) {
        INFO(layer);
        CHECK(squared_norm(f.b().value()) == 0.0);  // the server has seen none
        Tensor<float> sum = nn::constant<float>(f.b().shape(), 0.0);
        for (std::size_t k = 0; k < run.states.size(); ++k) {
          const auto own = run.states[k].get<float>("own." + layer + ".lora_B.weight", f.b().shape());
          CHECK(squared_norm(own) > 0.0);
          add_scaled(sum, static_cast<float>(run.parts[k].size()) / 96.0f, own);
        }
        CHECK(difference(means.at(layer), sum) < 1e-6);
      });
  for (auto& device : run.devices)  // a device lends its model; what is the client's own is in its state
    lowrank::for_each_weight<nn::Factored>(device,
                                           [](auto&, auto& f) { CHECK(squared_norm(f.b().value()) == 0.0); });
}

TEST_CASE("fedpara in its personal form shares W_1 and keeps each client's W_2") {
  const std::string name = GENERATE("mlp", "resnet10");
  const fl::FedPara algorithm{.own_second = true};
  auto start = small_model<float>(name);
  fl::AnyAlgorithm<float>(algorithm).parametrise(start, {.rank = 2});
  const auto second = [](const std::string& t) { return t.find(".w2_") != std::string::npos; };
  Federation<float> run(start, algorithm);
  run.round();
  run.round();
  const std::size_t shared = state_bytes(start, [&](auto& t) { return !second(t); });
  CHECK(shared < state_bytes(start));
  CHECK(run.up == std::vector(clients, shared));
  CHECK(run.down == std::vector(clients, shared));
  const auto before = start.state(), after = run.server.model().state();
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    INFO(before[i].name);
    CHECK(same_bits(before[i].value, after[i].value) == second(before[i].name));
    if (!second(before[i].name)) continue;
    for (const auto& state : run.states) {
      const auto own = state.get<float>("own." + before[i].name, before[i].value.shape());
      CHECK(difference(own, before[i].value) > 0.0);
    }
  }
  CHECK(message_of<ConfigError>([&] { fl::Server<float>(start, fl::FedPara{}, 1); }) ==
        "fedpara: expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
}

TEST_CASE("scaffold with its controls held at zero is FedAvg bit for bit") {
  const bool low = GENERATE(false, true);
  auto start = low ? small_factored<double>() : small_model<double>();
  Federation<double> scaffold(start, fl::SCAFFOLD{.low_rank = low}), held = scaffold;
  Federation<double> average(start, low ? fl::AnyAlgorithm<double>(fl::FedLoRA{}) : fl::FedAvg{});
  for (int i = 0; i < 3; ++i) {
    scaffold.round();
    held.round();
    average.round();
    held.server.memory() = io::Archive("memory");
    for (auto& state : held.states) state = io::Archive("state");
    CHECK(bits(held.server.model()) == bits(average.server.model()));
    CHECK((bits(scaffold.server.model()) == bits(average.server.model())) == (i == 0));
  }
}

TEST_CASE("scaffold's controls are option II under plain descent, and c is their mean over all clients") {
  auto start = small_model<double>();
  const double eta = 0.05;
  Federation<double> run(start, fl::SCAFFOLD{},
                         {.epochs = 2, .batch = 7, .optimizer = {.learning_rate = eta}});
  for (int i = 0; i < 3; ++i) {
    const io::Archive common = run.server.memory();
    auto global = nn::Model<double>(run.server.model());
    const auto before = run.states;
    run.round();
    for (std::size_t k = 0; k < run.states.size(); ++k) {
      const auto n = static_cast<Index>(run.parts[k].size());
      const double steps = static_cast<double>(2 * ((n + 6) / 7));
      auto trained = run.devices[k].trained_parameters(), from = global.trained_parameters();
      for (std::size_t p = 0; p < trained.size(); ++p) {
        const std::string key = "control." + trained[p].name;
        Tensor<double> expected = clone(from[p].value.value());  // c_k − c + (x − y) / (K·η)
        add_scaled(expected, -1.0, trained[p].value.value());
        add_scaled(expected, 1.0 / (steps * eta) - 1.0, clone(expected));
        if (i > 0) {
          add_scaled(expected, 1.0, before[k].get<double>(key));
          add_scaled(expected, -1.0, common.get<double>(key));
        }
        CHECK(difference(run.states[k].get<double>(key), expected) < 1e-12);
      }
    }
    for (const auto& p : global.trained_parameters()) {
      const std::string key = "control." + p.name;
      Tensor<double> mean = nn::constant<double>(p.value.shape(), 0.0);
      for (const auto& state : run.states) add_scaled(mean, 1.0 / clients, state.get<double>(key));
      CHECK(difference(run.server.memory().get<double>(key), mean) < 1e-14);
    }
  }
}

TEST_CASE("scaffold sends every control both ways, and asks how many clients there are") {
  auto start = small_model<float>(GENERATE("mlp", "resnet10"));
  Federation<float> run(start, fl::SCAFFOLD{});
  run.round();
  const std::size_t both = state_bytes(start) + state_bytes(start, {}, false);
  CHECK(run.up == std::vector(clients, both));
  CHECK(run.down == std::vector(clients, both));
  Federation<float> unknown(start, fl::SCAFFOLD{});
  unknown.server = fl::Server<float>(start, fl::SCAFFOLD{}, seed);
  CHECK(message_of<ConfigError>([&] { unknown.round(); }) ==
        "scaffold: expected a server that knows the number of clients");
}

TEST_CASE("local clients train alone, send nothing and go on where they were") {
  const bool low = GENERATE(false, true);
  auto start = low ? small_factored<float>("resnet10") : small_model<float>("resnet10");
  const auto whole = bits(start);
  Federation<float> run(start, fl::Local{.low_rank = low});
  run.round();
  run.round();
  CHECK(run.up == std::vector<std::size_t>(clients, 0));
  CHECK(run.down == std::vector<std::size_t>(clients, 0));
  CHECK(bits(run.server.model()) == whole);
  auto alone = start;
  io::Archive state, nothing;
  for (Index round = 1; round <= 2; ++round)
    fl::train(fl::Turn<float>{
        alone, small_data().train, run.parts[1], run.options, {seed, round, 1}, state, nothing, nothing});
  CHECK(bits(alone) != whole);
  auto kept = start;
  fl::AnyAlgorithm<float>(run.algorithm)
      .personalise({kept,
                    small_data().train,
                    run.parts[1],
                    run.options,
                    {seed, 2, 1},
                    run.states[1],
                    nothing,
                    nothing});
  CHECK(bits(kept) == bits(alone));
}

TEST_CASE("fedprox with low-rank layers and mu = 0 is fedlora bit for bit") {
  Federation<float> prox(small_factored<float>(), fl::FedProx{.mu = 0.0, .low_rank = true}),
      lora(small_factored<float>(), fl::FedLoRA{});
  prox.round();
  lora.round();
  CHECK(bits(prox.server.model()) == bits(lora.server.model()));
  CHECK_THAT(message_of<ConfigError>(
                 [] { fl::Server<float>(small_model<float>(), fl::FedProx{.low_rank = true}, 1); }),
             StartsWith("fedprox: expected a model with layers factored for it"));
}

TEST_CASE("A client's test images have its own label proportions") {
  data::Dataset train{.name = "train", .classes = 4}, test{.name = "test", .classes = 4};
  train.labels() = {0, 0, 0, 1, 1, 2, 3, 3};
  for (int i = 0; i < 40; ++i) test.labels().push_back(i % 4 == 3 ? 0 : i % 4);  // twenty of 0, none of 3
  const rng::Stream stream(1, rng::Purpose::personal_test, 0, 7);
  const std::vector<Index> samples{0, 1, 2, 3, 4, 6, 7};  // classes 0, 1 and 3, in 3 : 2 : 2
  const auto chosen = fl::personal_test(train, samples, test, 16, stream);
  std::map<Index, Index> counts;
  for (const Index i : chosen) ++counts[test.label(i)];
  CHECK(counts == std::map<Index, Index>{{0, 10}, {1, 6}});  // 9.6 and 6.4
  CHECK(std::set(chosen.begin(), chosen.end()).size() == 16);
  CHECK(fl::personal_test(train, samples, test, 16, stream) == chosen);
  CHECK(fl::personal_test(train, samples, test, 16, rng::Stream(1, rng::Purpose::personal_test, 0, 8)) !=
        chosen);
  CHECK(fl::personal_test(train, samples, test, 100, stream).size() == 100);  // with repetition
  CHECK(fl::personal_test(train, std::vector<Index>{6}, test, 5, stream).empty());
  CHECK(fl::worst_decile({0.5, 0.2, 0.9}) == 0.2);
  std::vector<double> twenty(20, 1.0);
  twenty[3] = 0.2;
  twenty[9] = 0.4;
  CHECK(fl::worst_decile(twenty) == Approx(0.3));
}

TEST_CASE("Personal accuracy: own models and the global one, the same for any number of threads") {
  const auto parts = data::shards(small_data().train, {.clients = 12, .classes_per_client = 1});
  const auto measure = [&](const auto& algorithm, Index rounds, Index threads, fl::PersonalOptions o = {}) {
    auto model = small_model<float>();
    fl::AnyAlgorithm<float>(algorithm).parametrise(model, {.rank = 2});
    fl::Simulation<float> simulation{model, algorithm, small_data(), parts, simulated(threads)};
    for (Index i = 0; i < rounds; ++i) simulation.run_round(false);
    const auto before = bits(simulation.model());
    const auto result = simulation.personal_accuracy(o);
    CHECK(bits(simulation.model()) == before);
    return result;
  };
  const auto same = [](const fl::PersonalAccuracy& a, const fl::PersonalAccuracy& b) {
    return a.mean == b.mean && a.worst_decile == b.worst_decile && a.global_mean == b.global_mean &&
           a.global_worst_decile == b.global_worst_decile && a.clients == b.clients;
  };
  const auto average = measure(fl::FedAvg{}, 2, 1);
  CHECK(average.mean == average.global_mean);
  CHECK(average.worst_decile == average.global_worst_decile);
  CHECK(average.clients == 12);
  CHECK(measure(fl::FedAvg{}, 1, 1, {.clients = 5}).clients == 5);
  const auto floor = measure(fl::Local{}, 3, 1);
  CHECK(floor.mean > floor.global_mean);  // one class each: whoever was chosen knows it
  CHECK(same(measure(fl::Local{}, 3, 3), floor));
  const auto initial = measure(fl::Local{}, 0, 1);
  CHECK(initial.mean == initial.global_mean);
  const fl::PFedLoRU personal{.personal_rank = 2, .personal_alpha = 8.0};
  const auto own = measure(personal, 2, 1);
  CHECK(own.mean > own.global_mean);
  CHECK(same(measure(personal, 2, 3), own));
  CHECK(measure(personal, 0, 1).mean > initial.mean);  // clients never seen fit (L, U)
  CHECK_THROWS_AS(measure(fl::FedAvg{}, 0, 1, {.images = 0}), ConfigError);
}
