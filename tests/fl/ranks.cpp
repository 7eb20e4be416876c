// Clients with ranks of their own.
#include <loru/lowrank/rank.hpp>

#include "alike.hpp"
#include "mixed.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using fl::RankRule;

/// Client k's rank in one layer of rank 8, for clients with these samples.
Ranks budgets(const fl::RankOptions& o, const Ranks& samples, std::uint64_t seed = 1) {
  std::vector<std::vector<Index>> lists;
  for (const Index count : samples) lists.emplace_back(count);
  const fl::ClientRanks ranks(o, lists, seed);
  Ranks all;
  for (Index k = 0; k < std::ssize(samples); ++k) all.push_back(ranks.of(k, {8})[0]);
  return all;
}

/// w + Σ p_k·s_k·B_k·A_k from the devices after training.
template <class T>
std::map<std::string, Tensor<T>> exact_weights(Mixed<T>& run, std::map<std::string, Tensor<T>> w) {
  for (std::size_t k = 0; k < run.devices.size(); ++k)
    lowrank::for_each_weight<nn::Factored>(run.devices[k], [&](const std::string& layer, nn::Factored<T>& f) {
      w[layer] = lowrank_compose(w.at(layer), f.a().value(), f.b().value(), run.shares[k] * f.scale());
    });
  return w;
}

/// Changes ranks and merges at the end of every round, and fails in the second.
struct Meddling {
  static constexpr std::string_view name = "meddling";
  static constexpr bool low_rank = true;
  using hooks = fl::Hooks<fl::hook::after_round>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void after_round(fl::Server<T, D>& server) const {
    server.set_ranks(0, {server.round() == 1 ? 3 : 1});
    server.merge(lowrank::MergeKind::reinit);
    if (server.round() != 2) return;
    server.set_ranks(0, {2});
    server.set_ranks(1, {1});
    fail<DivergedError>("meddling");
  }
};

}  // namespace

TEST_CASE("Rank budgets by rule") {
  const Ranks samples{50, 10, 40, 20, 30, 60};
  CHECK(budgets({}, samples) == Ranks(6, 8));
  CHECK(budgets({.rule = RankRule::fixed, .values = {2, 4, 16}}, samples) == Ranks{2, 4, 8, 2, 4, 8});
  CHECK(budgets({.rule = RankRule::data, .values = {1, 2, 4}}, samples) == Ranks{4, 1, 2, 1, 2, 4});
  CHECK(budgets({.rule = RankRule::data, .values = {1, 4}, .shares = {0.8, 0.2}}, samples) ==
        Ranks{1, 1, 1, 1, 1, 4});
  const Ranks many(3000, 1);
  const auto drawn = budgets({.rule = RankRule::tiers, .values = {1, 2, 4}, .shares = {0.5, 0.3, 0.2}}, many);
  CHECK(std::count(drawn.begin(), drawn.end(), 1) == Approx(1500).margin(100));
  CHECK(std::count(drawn.begin(), drawn.end(), 2) == Approx(900).margin(100));
  CHECK(std::count(drawn.begin(), drawn.end(), 4) == Approx(600).margin(100));
  // A client's tier depends on the seed and the client, not on the others.
  const auto few =
      budgets({.rule = RankRule::tiers, .values = {1, 2, 4}, .shares = {0.5, 0.3, 0.2}}, Ranks(10, 7));
  CHECK(std::equal(few.begin(), few.end(), drawn.begin()));
  CHECK(budgets({.rule = RankRule::tiers, .values = {1, 2, 4}}, many, 2) != drawn);
}

TEST_CASE("Rank budgets that make no sense") {
  const auto error = [](const fl::RankOptions& o) {
    return message_of<ConfigError>([&] { budgets(o, {1, 2, 3}); });
  };
  CHECK(error({.rule = RankRule::fixed}) ==
        "ranks: values: expected at least one rank for each rule but same");
  CHECK(error({.rule = RankRule::fixed, .values = {2, 0}}) ==
        "ranks: values: expected a whole number >= 1, got 0");
  CHECK(error({.rule = RankRule::tiers, .values = {2, 4}, .shares = {1.0}}) ==
        "ranks: shares: expected 2 shares, one for each of the values, got 1");
  CHECK(error({.rule = RankRule::tiers, .values = {2, 4}, .shares = {0.5, 0.4}}) ==
        "ranks: shares: expected a sum of 1, got 0.9");
  CHECK(error({.rule = RankRule::data, .values = {2, 4}, .shares = {1.5, -0.5}}) ==
        "ranks: shares: expected a number >= 0, got -0.5");
  CHECK(message_of<ConfigError>([] { fl::ClientRanks(Ranks{2, 3}).of(2, {8}); }) ==
        "ranks: expected a client in 0 .. 1, got 2");
}

TEST_CASE("Every algorithm over W + s·B·A takes mixed ranks") {
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    if constexpr (requires { A::low_rank = true; }) algorithm.low_rank = true;
    if (!algorithm.low_rank) return;
    INFO(A::name);
    const fl::AnyAlgorithm<float> any(algorithm);
    auto model = small_model<float>();
    any.parametrise(model, {.rank = 4});
    const auto error = [&](const fl::ClientRanks& ranks) {
      return message_of<ConfigError>([&] { fl::Server<float>(model, any, 1, {.ranks = ranks}); });
    };
    CHECK(error({}) == "nothing was thrown");
    CHECK(error(fl::ClientRanks(Ranks{4, 9})) == "nothing was thrown");
    CHECK(error(fl::ClientRanks(Ranks{4, 3})) ==
          (refuses_ranks(A::name) ? std::string(A::name) + ": expected the same ranks for all clients: its "
                                                           "weights have no leading directions"
                                  : "nothing was thrown"));
  });
}

TEST_CASE("Resized factors keep the leading directions, and zeros follow") {
  const lowrank::Factors<double> f{gaussian({3, 5}), gaussian({4, 3}, 2)};
  const auto two = lowrank::resized(f, 2), padded = lowrank::resized(f, 5);
  for (Index k = 0; k < 5; ++k) {
    for (Index j = 0; j < 5; ++j) {
      if (k < 2) CHECK(two.a.data()[k * 5 + j] == f.a.data()[k * 5 + j]);
      CHECK(padded.a.data()[k * 5 + j] == (k < 3 ? f.a.data()[k * 5 + j] : 0.0));
    }
    for (Index i = 0; i < 4; ++i) {
      if (k < 2) CHECK(two.b.data()[i * 2 + k] == f.b.data()[i * 3 + k]);
      CHECK(padded.b.data()[i * 5 + k] == (k < 3 ? f.b.data()[i * 3 + k] : 0.0));
    }
  }
  auto model = rank_four<float>();
  CHECK(message_of<ConfigError>([&] { lowrank::set_ranks(model, Ranks{1, 2}); }) ==
        "set_ranks: expected 1 ranks, got 2");
  CHECK(message_of<ConfigError>([&] { lowrank::set_ranks(model, Ranks{0}); }) ==
        "set_ranks: expected ranks >= 1, got 0");
}

TEST_CASE("A model of less ranks has the leading directions of its update") {
  auto model = rank_four<double>(GENERATE("mlp", "resnet10"));
  lowrank::for_each_weight<nn::Factored>(model, [](const std::string&, nn::Factored<double>& f) {
    f.b().set_value(gaussian(f.b().shape(), 7));
  });
  auto two = model;
  const auto layers = lowrank::ranks(model);
  lowrank::set_ranks(two, Ranks(layers.size(), 2));
  const auto got = lowrank::effective_weights(two), w = frozen_weights(model);
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<double>& f) {
    const auto leading = lowrank::resized<double>({f.a().value(), f.b().value()}, 2);
    CHECK(difference(got.at(layer), lowrank_compose(w.at(layer), leading.a, leading.b, f.scale())) < 1e-13);
  });
}

TEST_CASE("Factors and their controls at another rank, there and back") {
  auto model = rank_four<double>(GENERATE("mlp", "resnet10"));
  const auto layers = lowrank::ranks(model);
  io::Archive server("state");
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<double>& f) {
    for (const std::string prefix : {"", "control."}) {
      server.put(prefix + layer + ".lora_A.weight", gaussian(f.a().shape(), prefix.size() + 1));
      server.put(prefix + layer + ".lora_B.weight", gaussian(f.b().shape(), prefix.size() + 2));
    }
  });
  io::Archive client = server;
  fl::resize_factors<double>(client, model, Ranks(layers.size(), 2));
  io::Archive back = client;
  fl::resize_factors<double>(back, model, layers);
  for (const auto& [name, raw] : back.tensors()) {
    INFO(name);
    const auto at_two = client.get<double>(name), at_four = back.get<double>(name);
    CHECK(at_two.size() == at_four.size() / 2);
    // A step along a control changes the loss as much at either rank.
    if (!name.starts_with("control.")) {
      const std::string control = "control." + name;
      CHECK(linalg::dot(at_two, client.get<double>(control)) ==
            Approx(linalg::dot(at_four, back.get<double>(control))));
      CHECK(linalg::norm(at_four) ==
            Approx(linalg::norm(at_two) * (name.ends_with("lora_B.weight") ? 2 : 1)));
    }
    const auto whole = server.get<double>(name);
    for (Index i = 0; i < whole.size(); ++i) {
      const double x = at_four.data()[i];
      REQUIRE((x == 0.0 || x == whole.data()[i]));
    }
  }
}

TEST_CASE("Averages of factors of mixed ranks: what clients have, and what the server comes to") {
  auto start = rank_four<double>(GENERATE("mlp", "resnet10"));
  const auto check = [&](const fl::AnyAlgorithm<double>& algorithm, bool exact) {
    INFO(algorithm.name);
    Mixed<double> run(start, algorithm);
    for (int round = 1; round <= 3; ++round) {
      INFO("round " << round);
      const auto w = frozen_weights(run.server.model());
      auto device = run.server.client_model(1);
      run.round();
      lowrank::for_each_weight<nn::Factored>(run.devices[0], [](auto&, auto& f) { CHECK(f.rank() == 1); });
      lowrank::for_each_weight<nn::Factored>(run.devices[1], [](auto&, auto& f) { CHECK(f.rank() == 2); });
      lowrank::for_each_weight<nn::Factored>(run.devices[2], [](auto&, auto& f) { CHECK(f.rank() == 4); });
      // A client gets the leading directions of s·B·A.
      run.server.begin_round();
      const fl::Message message = run.server.broadcast(1);
      auto expected = run.server.client_model(1);
      fl::load_broadcast(device, io::borrow(message, "broadcast"), algorithm);
      for (const auto& [layer, factors] : lowrank::products(expected)) {
        CHECK(difference(lowrank::products(device).at(layer).a, factors.a) == 0.0);
        CHECK(difference(lowrank::products(device).at(layer).b, factors.b) == 0.0);
      }
      // The mean is over factors with zeros, B_k times s_k / s.
      const auto got = lowrank::effective_weights(run.server.model()), sum = exact_weights(run, w);
      double lost = 0.0, moved = 0.0;
      for (const auto& [layer, value] : sum) {
        lost = std::max(lost, difference(got.at(layer), value));
        moved = std::max(moved, difference(value, w.at(layer)));
      }
      CHECK(moved > 1e-4);
      if (exact)
        CHECK(lost < 1e-12);
      else
        CHECK(lost > 1e-7);
    }
  };
  check(fl::FFALoRA{}, true);
  check(fl::RoLoRA{}, true);
  check(fl::FedExLoRA{}, true);
  check(fl::FedLoRA{}, false);
}

TEST_CASE("Factors of mixed ranks are averaged with zeros, by the server's scale") {
  auto start = rank_four<double>();
  Mixed<double> run(start, fl::FedLoRA{});
  run.round();
  lowrank::for_each_weight<nn::Factored>(run.server.model(), [&](const std::string& layer,
                                                                 nn::Factored<double>& f) {
    Tensor<double> a = nn::constant<double>(f.a().shape(), 0.0), b = nn::constant<double>(f.b().shape(), 0.0);
    const Index n = a.dim(1);
    for (std::size_t k = 0; k < 3; ++k) {
      const auto own = lowrank::products(run.devices[k]).at(layer);
      const Index r = Index{1} << k;
      for (Index i = 0; i < r * n; ++i) a.data()[i] += run.shares[k] * own.a.data()[i];
      for (Index i = 0; i < b.dim(0); ++i)
        for (Index j = 0; j < r; ++j)
          b.data()[i * 4 + j] += run.shares[k] * 4.0 / static_cast<double>(r) * own.b.data()[i * r + j];
    }
    CHECK(difference(f.a().value(), a) < 1e-14);
    CHECK(difference(f.b().value(), b) < 1e-13);
  });
}

TEST_CASE("flora and flexlora average products of mixed ranks, round after round") {
  auto start = rank_four<double>(GENERATE("mlp", "resnet10"));
  SECTION("flora is exact") {
    Mixed<double> run(start, fl::FLoRA{});
    for (int i = 0; i < 3; ++i) {
      const auto before = frozen_weights(run.server.model());
      run.round();
      lowrank::for_each_weight<nn::Factored>(run.devices[0], [](auto&, auto& f) { CHECK(f.rank() == 1); });
      lowrank::for_each_weight<nn::Factored>(run.devices[1], [](auto&, auto& f) { CHECK(f.rank() == 2); });
      const auto got = lowrank::effective_weights(run.server.model()), exact = exact_weights(run, before);
      for (const auto& [layer, w] : exact) CHECK(difference(got.at(layer), w) < 1e-13);
    }
    for (auto& device : run.devices) {  // the clients came to the same W by the stacks that they were sent
      const auto parts = small_parts(3);
      run.server.begin_round();
      const Index k = &device - run.devices.data();
      fl::answer(device, run.server.broadcast(k), run.algorithm, small_data().train, parts.samples(k),
                 momentum_client());
      const auto own = frozen_weights(device), global = frozen_weights(run.server.model());
      for (const auto& [layer, w] : global) CHECK(difference(own.at(layer), w) < 1e-13);
    }
  }
  SECTION("flexlora keeps the best part, and sends each client its own") {
    Mixed<double> run(start, fl::FlexLoRA{});
    for (int i = 0; i < 2; ++i) {
      run.round();
      const auto zero = frozen_weights(run.server.model());
      const auto exact = exact_weights(run, zero);
      run.server.begin_round();
      const fl::Message message = run.server.broadcast(1);
      const io::Archive broadcast = io::borrow(message, "broadcast");
      lowrank::for_each_weight<nn::Factored>(run.server.model(), [&](const std::string& layer, auto& f) {
        const auto& w = zero.at(layer);
        Tensor<double> update = clone(exact.at(layer));
        add_scaled(update, -1.0, w);
        const auto best = lowrank::svd_factors(update, 4, 1.0), two = lowrank::svd_factors(update, 2, 1.0);
        CHECK(difference(lowrank_compose(w, f.a().value(), f.b().value(), f.scale()),
                         lowrank_compose(w, best.a, best.b, 1.0)) < 1e-12);
        const auto a = broadcast.get<double>(layer + ".lora_A.weight", lowrank::factor_shape(w.shape(), 2));
        const auto b = broadcast.get<double>(layer + ".lora_B.weight", {w.dim(0), 2});
        CHECK(difference(lowrank_compose(w, to_layout(a, w.layout()), b, f.alpha() / 2.0),
                         lowrank_compose(w, two.a, two.b, 1.0)) < 1e-12);
      });
    }
  }
}

TEST_CASE("What travels to and from clients of ranks of their own, to the byte") {
  auto start = rank_four<float>(GENERATE("mlp", "resnet10"));
  std::size_t others = 0, per_rank = 0, stacked = 0;  // stacked: of a cohort of ranks 1, 2 and 4, or W
  for (const auto& [name, t, role] : start.state())
    if (!nn::is_factor(role)) others += sizeof(float) * static_cast<std::size_t>(t.size());
  lowrank::for_each_weight<nn::Factored>(start, [&](auto&, nn::Factored<float>& f) {
    const auto w = static_cast<std::size_t>(f.base().value().size()),
               m = static_cast<std::size_t>(f.shape()[0]);
    per_rank += sizeof(float) * (m + w / m);
    stacked += sizeof(float) * std::min(w, 7 * (m + w / m));
  });
  const auto check = [&](const fl::AnyAlgorithm<float>& algorithm, auto down_bytes) {
    INFO(algorithm.name);
    Mixed<float> run(start, algorithm);
    for (const int round : {1, 2}) {
      run.server.begin_round();
      for (std::size_t k = 0; k < 3; ++k) {
        const std::size_t rank = std::size_t{1} << k;
        const fl::Message down = run.server.broadcast(static_cast<Index>(k));
        fl::Message up = fl::answer(run.devices[k], down, algorithm, small_data().train,
                                    small_parts(3).samples(static_cast<Index>(k)), momentum_client());
        CHECK(payload(down) == down_bytes(round, rank));
        CHECK(payload(up) == others + rank * per_rank);
        run.server.receive(std::move(up));
      }
      run.server.finish_round();
    }
  };
  const auto own_factors = [&](int, std::size_t rank) { return others + rank * per_rank; };
  check(fl::FedLoRA{}, own_factors);
  check(fl::HetLoRA{}, own_factors);
  check(fl::FlexLoRA{}, own_factors);
  check(fl::FLoRA{}, [&](int round, std::size_t) { return others + (round == 2 ? stacked : 0); });
}

TEST_CASE("flexlora: directions that a cohort of small ranks leaves out can be learnt later") {
  Mixed<double> run(rank_four<double>(), fl::FlexLoRA{}, {1, 1, 1});
  run.server.begin_round();
  run.server.receive(fl::answer(run.devices[0], run.server.broadcast(0), run.algorithm, small_data().train,
                                small_parts(3).samples(0), momentum_client()));
  run.server.finish_round();
  lowrank::for_each_weight<nn::Factored>(run.server.model(), [](const std::string&, nn::Factored<double>& f) {
    const Index n = f.a().value().size() / 4, m = f.shape()[0];
    for (Index k = 0; k < 4; ++k) {
      double row = 0.0, column = 0.0;
      for (Index j = 0; j < n; ++j) row += std::abs(f.a().value().data()[k * n + j]);
      for (Index i = 0; i < m; ++i) column += std::abs(f.b().value().data()[i * 4 + k]);
      CHECK(row > 0.0);
      CHECK((column > 0.0) == (k == 0));
    }
  });
}

TEST_CASE("A round that fails leaves ranks, merges and what clients are sent as they were") {
  Mixed<float> run(rank_four<float>(), Meddling{}, {4, 2, 4});
  run.round();
  REQUIRE(run.server.ranks(0) == Ranks{3});
  REQUIRE(run.server.merges() == 1);
  auto other = run.server;
  const auto merged = run.server.last_merge();
  CHECK_THROWS_AS(run.round(), DivergedError);
  CHECK(run.server.ranks(0) == Ranks{3});
  CHECK(run.server.ranks(1) == Ranks{2});
  CHECK(run.server.merges() == 1);
  for (const auto& [layer, f] : merged) {
    CHECK(same_bits(run.server.last_merge().at(layer).a, f.a));
    CHECK(same_bits(run.server.last_merge().at(layer).b, f.b));
  }
  other.begin_round();  // the same without what failed
  for (Index k = 0; k < 3; ++k) other.broadcast(k);
  for (Index k = 0; k < 3; ++k) other.arrived(k);
  for (fl::Server<float>* server : {&other, &run.server}) server->begin_round();
  for (Index k = 0; k < 3; ++k) CHECK(run.server.broadcast(k) == other.broadcast(k));
  for (Index k = 0; k < 3; ++k) {
    auto device = run.server.client_model(k);
    run.server.receive(fl::update_message(device, {5, run.server.round(), k}, 5, 1.0));
  }
  run.server.finish_round();
  CHECK(run.server.ranks(0) == Ranks{1});
  CHECK(run.server.merges() == 2);
}

TEST_CASE("Mixed ranks: simulated on any number of threads, and through bytes alone") {
  const auto codecs = GENERATE(fl::Codecs{}, fl::Codecs{.uplink = fl::Code::int8, .downlink = fl::Code::bf16},
                               fl::Codecs{.uplink = fl::Code::top_k, .keep = 0.2});
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    if constexpr (requires { A::low_rank = true; }) algorithm.low_rank = true;
    if (!algorithm.low_rank || refuses_ranks(A::name)) return;
    if constexpr (requires { algorithm.tau; }) algorithm.tau = 2;
    INFO(A::name);
    const SixClients mixed{.ranks = {.rule = RankRule::fixed, .values = {1, 4, 2}}, .codecs = codecs};
    require_alike(algorithm, start_of(algorithm, 4), mixed);
  });
}

TEST_CASE("The server expects the client's own shapes") {
  Mixed<float> run(rank_four<float>(), fl::FlexLoRA{});
  run.server.begin_round();
  const fl::Message mine = run.server.broadcast(0);
  run.server.broadcast(1);
  fl::Message update = fl::answer(run.devices[0], mine, run.algorithm, small_data().train,
                                  small_parts(3).samples(0), momentum_client());
  const fl::Message other = fl::update_message(run.devices[0], {Mixed<float>::seed, 1, 1}, 5, 1.0);
  CHECK_THAT(message_of<DataError>([&] { run.server.receive(fl::Message(other)); }),
             StartsWith("server: update of client 1: fc2.lora_A.weight: expected F32 (2, "));
  CHECK_NOTHROW(run.server.receive(std::move(update)));
}
