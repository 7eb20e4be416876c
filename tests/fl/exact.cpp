// Algorithms whose server computes what the clients' products add up to, and those that send less.
#include <set>

#include <loru/lowrank/rank.hpp>

#include "alike.hpp"

using namespace loru;
using namespace loru_test;

namespace {

constexpr std::uint64_t seed = 5;
constexpr Index clients = 3;

/// A round of three clients through messages, and what each of them came to.
template <class T>
struct OneRound {
  fl::Server<T> server;
  std::vector<nn::Model<T>> devices;
  std::vector<io::Archive> states{clients};
  std::vector<double> shares;   // n_k / Σ n
  std::vector<std::size_t> up;  // bytes of the tensors that each sent in the last round

  OneRound(nn::Model<T> start, fl::AnyAlgorithm<T> algorithm, Index rounds = 1)
      : OneRound(fl::Server<T>(start, algorithm, seed, {.clients = clients}), start, rounds) {}

  OneRound(fl::Server<T> first, nn::Model<T> start, Index rounds)
      : server{std::move(first)}, devices(clients, start) {
    const auto parts = small_parts(clients);
    for (Index round = 0; round < rounds; ++round) {
      up.clear();
      server.begin_round();
      for (Index k = 0; k < clients; ++k) {
        const auto at = static_cast<std::size_t>(k);
        const fl::Message broadcast = server.broadcast(k);
        fl::Message update = fl::answer(devices[at], broadcast, server.algorithm(), small_data().train,
                                        parts[at], momentum_client(), states[at]);
        up.push_back(payload(update));
        server.receive(std::move(update));
      }
      server.finish_round();
    }
    for (const auto& part : parts)
      shares.push_back(static_cast<double>(part.size()) / static_cast<double>(small_data().train.size()));
  }
};

/// W + Σ p_k·s·B_k·A_k of every factored layer, from the devices after training.
template <class T>
std::map<std::string, Tensor<T>> exact_weights(OneRound<T>& run, std::map<std::string, Tensor<T>> w) {
  for (std::size_t k = 0; k < run.devices.size(); ++k)
    lowrank::for_each_weight<nn::Factored>(run.devices[k], [&](const std::string& layer, nn::Factored<T>& f) {
      w[layer] = lowrank_compose(w.at(layer), f.a().value(), f.b().value(), run.shares[k] * f.scale());
    });
  return w;
}

template <class T>
void require_close(const std::map<std::string, Tensor<T>>& got,
                   const std::map<std::string, Tensor<T>>& expected, double error) {
  REQUIRE(got.size() == expected.size());
  REQUIRE(!got.empty());
  for (const auto& [layer, w] : expected) {
    INFO(layer);
    CHECK(difference(got.at(layer), w) < error);
  }
}

/// Bytes of the tensors of the state that the selection chooses.
std::size_t chosen_bytes(nn::Model<float>& model, const fl::Selection& selection) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor, role] : model.state())
    if (fl::chosen(selection, {name, role})) bytes += static_cast<std::size_t>(tensor.size()) * sizeof(float);
  return bytes;
}

}  // namespace

TEST_CASE("flora and fedex_lora average the products exactly") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto start = small_factored<double>(name);
  const auto w = frozen_weights(start);
  SECTION("flora") {
    OneRound<double> run(start, fl::FLoRA{});
    require_close(lowrank::effective_weights(run.server.model()), exact_weights(run, w), 1e-13);
    for (auto& device : run.devices)
      lowrank::for_each_weight<nn::Factored>(device, [](auto&, auto& f) {
        CHECK(lowrank::update_rank(f.b().value(), nn::constant<double>(f.b().shape(), 0.0)) > 0);
      });
  }
  SECTION("fedex_lora") {
    OneRound<double> run(start, fl::FedExLoRA{});
    require_close(lowrank::effective_weights(run.server.model()), exact_weights(run, w), 1e-13);
    CHECK(run.server.merges() == 1);
  }
}

TEST_CASE("flexlora averages the products exactly where the rank is at least that of their sum") {
  auto start = small_model<double>();
  lowrank::factorize(start, {.rank = 12, .alpha = 18.0});
  lowrank::for_each_weight<nn::Factored>(start, [&](const std::string&, nn::Factored<double>& f) {
    auto a = gaussian(f.a().shape());
    std::fill(a.data() + 2 * a.dim(1), a.data() + a.size(), 0.0);
    f.a().set_value(a);  // rows of A beyond two are zero, and so are B's columns: neither gets a gradient
  });
  OneRound<double> run(start, fl::FlexLoRA{});
  require_close(lowrank::effective_weights(run.server.model()), exact_weights(run, frozen_weights(start)),
                1e-12);
}

TEST_CASE("flexlora keeps the best part of the mean product") {
  auto start = small_factored<double>();
  const auto w = frozen_weights(start);
  OneRound<double> run(start, fl::FlexLoRA{});
  const auto exact = exact_weights(run, w);
  lowrank::for_each_weight<nn::Factored>(
      run.server.model(), [&](const std::string& layer, nn::Factored<double>& f) {
        Tensor<double> update = clone(exact.at(layer));
        add_scaled(update, -1.0, w.at(layer));
        const auto best = lowrank::svd_factors(update, f.rank(), f.scale());
        CHECK(difference(lowrank_compose(w.at(layer), f.a().value(), f.b().value(), f.scale()),
                         lowrank_compose(w.at(layer), best.a, best.b, f.scale())) < 1e-12);
      });
}

TEST_CASE("ffa_lora and rolora lose nothing by averaging, fedlora does") {
  const std::string name = GENERATE("mlp", "resnet10");
  const Index rounds = GENERATE(1, 2);
  auto start = small_factored<double>(name);
  const auto w = frozen_weights(start);
  const auto error = [&](fl::AnyAlgorithm<double> algorithm) {
    OneRound<double> run(start, algorithm, rounds);
    const auto got = lowrank::effective_weights(run.server.model()), exact = exact_weights(run, w);
    double worst = 0.0;
    for (const auto& [layer, value] : exact) {
      Tensor<double> lost = clone(got.at(layer)), update = clone(value);
      add_scaled(lost, -1.0, value);
      add_scaled(update, -1.0, w.at(layer));
      worst = std::max(worst, linalg::norm(lost) / linalg::norm(update));
    }
    return worst;
  };
  CHECK(error(fl::FFALoRA{}) < 1e-12);
  CHECK(error(fl::RoLoRA{}) < 1e-12);
  CHECK(error(fl::FedLoRA{}) > 1e-6);
}

TEST_CASE("The aggregation error is what averaging factors apart loses") {
  auto start = small_factored<double>(GENERATE("mlp", "resnet10"));
  const auto w = frozen_weights(start);
  const auto measured = [&](fl::AnyAlgorithm<double> algorithm) {
    fl::Server<double> server(start, algorithm, seed, {.clients = clients});
    server.measure_aggregation(true);
    OneRound<double> run(std::move(server), start, 1);
    return std::pair(run.server.aggregation_error(), exact_weights(run, w));
  };
  const auto [errors, exact] = measured(fl::FedLoRA{});
  // The same from the means of the devices' factors.
  OneRound<double> run(start, fl::FedLoRA{});
  REQUIRE(errors.size() == exact.size());
  lowrank::for_each_weight<nn::Factored>(
      run.server.model(), [&](const std::string& layer, nn::Factored<double>& f) {
        Tensor<double> lost = lowrank_compose(exact.at(layer), f.a().value(), f.b().value(), -f.scale());
        add_scaled(lost, -1.0, w.at(layer));
        CHECK(errors.at(layer) > 1e-6);
        CHECK(std::abs(errors.at(layer) / linalg::norm(lost) - 1.0) < 1e-9);
      });
  for (const fl::AnyAlgorithm<double>& algorithm :
       {fl::AnyAlgorithm<double>(fl::FFALoRA{}), fl::AnyAlgorithm<double>(fl::RoLoRA{}),
        fl::AnyAlgorithm<double>(fl::FLoRA{}), fl::AnyAlgorithm<double>(fl::FedExLoRA{})}) {
    INFO(algorithm.name);
    const auto none = measured(algorithm).first;
    CHECK(none.size() == exact.size());
    for (const auto& [layer, error] : none) CHECK(error < 1e-12 * linalg::norm(w.at(layer)));
  }
  CHECK(measured(fl::FedSALoRA{}).first.empty());  // B is trained and not sent
}

TEST_CASE("rolora trains one factor after the other, ffa_lora only B") {
  auto start = small_factored<float>();
  const auto changed = [&](fl::AnyAlgorithm<float> algorithm, Index rounds) {
    OneRound<float> before(start, algorithm, rounds - 1), after(start, algorithm, rounds);
    std::string names;
    lowrank::for_each_weight<nn::Factored>(
        before.server.model(), [&](const std::string& layer, nn::Factored<float>& f) {
          lowrank::for_each_weight<nn::Factored>(after.server.model(),
                                                 [&](const std::string& other, nn::Factored<float>& g) {
                                                   if (other != layer) return;
                                                   if (!same_bits(f.a().value(), g.a().value())) names += 'A';
                                                   if (!same_bits(f.b().value(), g.b().value())) names += 'B';
                                                 });
        });
    return names;
  };
  CHECK(changed(fl::RoLoRA{}, 1) == "B");
  CHECK(changed(fl::RoLoRA{}, 2) == "A");
  CHECK(changed(fl::RoLoRA{}, 3) == "B");
  CHECK(changed(fl::FFALoRA{}, 2) == "B");
}

TEST_CASE("What each algorithm sends, to the byte") {
  auto start = small_factored<float>(GENERATE("mlp", "resnet10"));
  const auto a_only = [](const nn::TensorId& t) { return t.role != nn::Role::up; };
  const auto b_only = [](const nn::TensorId& t) { return t.role != nn::Role::down; };
  const auto neither = fl::not_factor;
  const auto no_statistic = [](const nn::TensorId& t) { return t.role != nn::Role::statistic; };
  const std::size_t all = chosen_bytes(start, {});
  // Stacks of K clients and residuals of K − 1, or W where it is cheaper.
  const auto merged = [&](Index ranks) {
    std::size_t bytes = 0;
    lowrank::for_each_weight<nn::Factored>(start, [&](const std::string&, nn::Factored<float>& f) {
      const auto w = static_cast<std::size_t>(f.base().value().size());
      const auto r = static_cast<std::size_t>(ranks), m = static_cast<std::size_t>(f.shape()[0]);
      bytes += sizeof(float) * std::min(w, r * static_cast<std::size_t>(f.rank()) * (m + w / m));
    });
    return bytes;
  };
  const auto up = [&](const fl::AnyAlgorithm<float>& algorithm, std::size_t tensors) {
    OneRound<float> run(start, algorithm, 2);
    return run.up == std::vector<std::size_t>(clients, tensors);
  };
  const auto down = [&](const fl::AnyAlgorithm<float>& algorithm, std::size_t tensors) {
    OneRound<float> run(start, algorithm, 1);
    run.server.begin_round();
    const fl::Message message = run.server.broadcast(0);
    return payload(message) == tensors;
  };
  CHECK(up(fl::FedLoRA{}, all));
  CHECK(up(fl::FFALoRA{}, chosen_bytes(start, b_only)));
  CHECK(up(fl::RoLoRA{}, chosen_bytes(start, a_only)));
  CHECK(up(fl::FLoRA{}, all));
  CHECK(up(fl::FedExLoRA{}, all));
  CHECK(up(fl::FlexLoRA{}, all));
  CHECK(up(fl::FedProx{.low_rank = true}, all));
  CHECK(up(fl::SCAFFOLD{.low_rank = true}, all + chosen_bytes(start, no_statistic)));
  CHECK(down(fl::FedLoRA{}, all));
  CHECK(down(fl::FFALoRA{}, chosen_bytes(start, b_only)));
  CHECK(down(fl::RoLoRA{}, all));
  CHECK(down(fl::FlexLoRA{}, all));
  CHECK(down(fl::FedProx{.low_rank = true}, all));
  CHECK(down(fl::SCAFFOLD{.low_rank = true}, all + chosen_bytes(start, no_statistic)));
  CHECK(down(fl::FLoRA{}, chosen_bytes(start, neither) + merged(clients)));
  CHECK(down(fl::FedExLoRA{}, all + merged(clients - 1)));
}

TEST_CASE("Every algorithm: simulated on any number of threads, and through bytes alone") {
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    INFO(A::name);
    require_alike(algorithm, start_of(algorithm));
  });
}

TEST_CASE("fedpara sends 2·R·(m + n) numbers a layer, and 2·R²·kh·kw more of a convolution") {
  auto dense = small_model<float>(GENERATE("mlp", "resnet10")), start = dense;
  const Index rank = 3;
  const fl::FedPara algorithm;
  const auto layers = fl::AnyAlgorithm<float>(algorithm).parametrise(start, {.rank = rank});
  const std::set<std::string> chosen(layers.begin(), layers.end());
  std::size_t expected = 0;
  for (const auto& [name, tensor, role] : dense.state())
    if (!name.ends_with(".weight") || !chosen.contains(name.substr(0, name.size() - 7)))
      expected += sizeof(float) * static_cast<std::size_t>(tensor.size());
  dense.visit({.weight = [&](const std::string& name, nn::Weight<float>& weight) {
    if (!chosen.contains(name)) return;
    const Shape w = weight.shape();
    const Index core = w.rank() == 4 ? 2 * rank * rank * w[2] * w[3] : 0;
    expected += sizeof(float) * static_cast<std::size_t>(2 * rank * (w[0] + w[1]) + core);
  }});
  OneRound<float> run(start, algorithm, 2);
  CHECK(run.up == std::vector<std::size_t>(clients, expected));
  run.server.begin_round();
  CHECK(payload(run.server.broadcast(0)) == expected);
}

TEST_CASE("flora refuses factors whose product is not zero") {
  auto start = small_model<float>();
  lowrank::factorize(start, {.rank = 2, .start = lowrank::Start::svd});
  CHECK_THAT(message_of<ConfigError>([&] { OneRound<float>(start, fl::FLoRA{}); }),
             StartsWith("flora: layer fc2: expected factors that start with a zero product"));
}

TEST_CASE("fedprox: mu = 0 is FedAvg bit for bit, else every gradient gets mu·(x − x_global)") {
  const double mu = GENERATE(0.0, 0.5);
  OneRound<double> prox(small_model<double>(), fl::FedProx{.mu = mu}),
      avg(small_model<double>(), fl::FedAvg{});
  CHECK((bits(prox.server.model()) == bits(avg.server.model())) == (mu == 0.0));
  OneRound<double> nearly(small_model<double>(), fl::FedProx{.mu = 1e-300});  // too small to show
  CHECK(bits(nearly.server.model()) == bits(avg.server.model()));
  // Two steps of plain descent on all samples at once: x_2 = x_1 − η·(g(x_1) + mu·(x_1 − x_0)).
  const auto part = small_parts(1)[0];
  const fl::ClientOptions options{.epochs = 2, .batch = 1000, .optimizer = {.learning_rate = 0.1}};
  auto trained = small_model<double>(), plain = small_model<double>(), start = small_model<double>();
  const fl::FedProx algorithm{.mu = mu};
  io::Archive state;
  algorithm.train(
      fl::Turn<double>{trained, small_data().train, part, options, {seed, 1, 0}, state, state, state});
  const auto batch = data::gather<double>(small_data().train, part);
  for (int step = 0; step < 2; ++step) {
    auto parameters = plain.parameters(), first = start.parameters();
    for (auto& p : parameters) p.value.clear_gradient();
    cross_entropy(plain(Variable<double>(batch.inputs), nn::Pass::train()), batch.labels).backward();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Tensor<double> x = clone(parameters[i].value.value());
      add_scaled(x, -0.1, parameters[i].value.gradient());
      add_scaled(x, -0.1 * mu, parameters[i].value.value());
      add_scaled(x, 0.1 * mu, first[i].value.value());
      parameters[i].value.set_value(x);
    }
  }
  auto got = trained.parameters(), expected = plain.parameters();
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(difference(got[i].value.value(), expected[i].value.value()) < 1e-10);
}
