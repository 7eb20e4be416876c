// pFedLoRU: factors that stay on the client.
#include <loru/lowrank/rank.hpp>

#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

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
  const auto part = small_parts(clients).samples(1);
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
  const auto part = small_parts(clients).samples(0);
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
    store.commit();
    return fl::personal_overlap(model, start, store, 0.5).at("fc2");
  };
  const auto same = overlap(1.0), opposite = overlap(-2.0);
  CHECK(same.cosine == Approx(1.0));
  CHECK(opposite.cosine == Approx(-1.0));
  CHECK(same.global_norm == Approx(3.0 * same.personal_norm));  // s = 3 / 2 against 0.5
  CHECK(opposite.personal_norm == Approx(2.0 * same.personal_norm));
  fl::MemoryStore empty;
  CHECK(fl::personal_overlap(model, start, empty, 0.5).empty());
}
