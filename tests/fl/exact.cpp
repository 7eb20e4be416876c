// What all algorithms share: exact means, errors of aggregation, bytes, one federation three ways.
#include <loru/lowrank/rank.hpp>

#include "alike.hpp"
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

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
