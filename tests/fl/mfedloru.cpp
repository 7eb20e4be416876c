// Clients that train factors nested in the factors.
#include <loru/autograd/gradcheck.hpp>
#include <loru/lowrank/rank.hpp>

#include "mixed.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// W (5, 7) or (5, 3, 2, 2), rank 4, inner rank 2, everything random.
nn::Nested<double> random_nested(bool convolution) {
  const Shape w = convolution ? Shape{5, 3, 2, 2} : Shape{5, 7};
  const Layout layout = convolution ? Layout::channels_last : Layout::row_major;
  nn::Factored<double> outer(gaussian(w, 1, layout), gaussian(lowrank::factor_shape(w, 4), 2, layout),
                             gaussian({5, 4}, 3), {.alpha = 3.0});
  return {outer,
          {gaussian({4, 2}, 4), gaussian(lowrank::factor_shape(w, 2), 5, layout), gaussian({5, 2}, 6),
           gaussian({2, 4}, 7)}};
}

std::map<std::string, Variable<double>> parameters(nn::Nested<double>& weight) {
  std::map<std::string, Variable<double>> all;
  weight.visit({.parameter = [&](const std::string& name, Variable<double>& v) { all.emplace(name, v); }},
               "");
  return all;
}

}  // namespace

TEST_CASE("nested: the weight is W + s·(B + B_u·B_d)·(A + A_d·A_u)") {
  auto weight = random_nested(GENERATE(false, true));
  auto p = parameters(weight);
  const auto matrix = [&](const char* name) {
    const Tensor<double>& t = p.at(name).value();
    return t.as_matrix(t.dim(0));
  };
  const auto plus = [](const Tensor<double>& x, double s, const Tensor<double>& y) {
    Tensor<double> sum = clone(x);
    add_scaled(sum, s, y);
    return sum;
  };
  const auto a = plus(matrix("lora_A.weight"), 1.0,
                      matmul(matrix("lora_A_down.weight"), matrix("lora_A_up.weight"), {}));
  const auto b = plus(matrix("lora_B.weight"), 1.0,
                      matmul(matrix("lora_B_up.weight"), matrix("lora_B_down.weight"), {}));
  CHECK(difference(compose(weight.form()).value().as_matrix(5),
                   plus(matrix("weight"), 0.75, matmul(b, a, {}))) < 1e-13);
  CHECK(weight.rank() == 4);
  CHECK(weight.inner_rank() == 2);
  Index trained = 0;
  for (const auto& [name, v] : p) trained += v.requires_grad() ? v.value().size() : 0;
  CHECK(trained == 2 * (5 + weight.base().value().size() / 5 + 2 * 4));
}

TEST_CASE("nested: gradients, linear and convolution") {
  const bool convolution = GENERATE(false, true);
  auto weight = random_nested(convolution);
  std::vector<Variable<double>> inputs;
  for (auto& [name, v] : parameters(weight))
    if (v.requires_grad()) inputs.push_back(v);
  REQUIRE(inputs.size() == 4);
  inputs.emplace_back(convolution ? gaussian({2, 3, 4, 4}, 8, Layout::channels_last) : gaussian({3, 7}, 8),
                      true);
  const auto f = [&](std::vector<Variable<double>>& v) {
    nn::Pass pass;
    const auto y = convolution ? nn::conv2d(weight.form(), v.back(), {.stride = 1, .padding = 1}, pass)
                               : nn::linear(weight.form(), v.back(), pass);
    return sum(multiply(y, Variable<double>(gaussian(y.shape(), 99, y.value().layout()))));
  };
  CHECK(gradcheck(f, inputs) < 1e-6);
}

TEST_CASE("nested: ranks there and back") {
  auto model = rank_four<double>();
  lowrank::for_each_weight<nn::Factored>(model,
                                         [](auto&, auto& f) { f.b().set_value(gaussian(f.b().shape())); });
  const auto before = lowrank::effective_weights(model);
  lowrank::set_inner_ranks(model, Ranks{2});
  CHECK(lowrank::ranks(model) == Ranks{4});
  lowrank::for_each_weight<nn::Nested>(model, [](auto&, auto& f) { CHECK(f.inner_rank() == 2); });
  CHECK(difference(lowrank::effective_weights(model).at("fc2"), before.at("fc2")) < 1e-14);
  lowrank::set_inner_ranks(model, Ranks{7});
  CHECK(lowrank::ranks(model) == Ranks{4});
  CHECK(same_bits(lowrank::effective_weights(model).at("fc2"), before.at("fc2")));
  CHECK(message_of<DataError>([&] { lowrank::set_inner_ranks(model, Ranks{1, 2}); }) ==
        "set_inner_ranks: expected 1 ranks, got 2");
}

TEST_CASE("mfedloru: the server rebuilds the clients' effective factors and averages them at full rank") {
  auto start = rank_four<double>(GENERATE("mlp", "resnet10"));
  Mixed<double> run(start, fl::MFedLoRU{.tau = 3});
  run.server.measure_aggregation(true);
  for (int i = 0; i < 2; ++i) run.round();
  std::map<std::string, std::vector<lowrank::Factors<double>>> own;
  Index nested = 0;
  for (auto& device : run.devices)
    lowrank::for_each_weight<nn::Factored, nn::Nested>(device, [&](const std::string& layer, auto& weight) {
      own[layer].push_back({weight.a().value(), weight.b().value()});
    });
  for (auto& device : run.devices)
    lowrank::for_each_weight<nn::Nested>(device, [&](auto&, auto&) { ++nested; });
  CHECK(nested == 2 * std::ssize(own));  // of the clients of rank 1 and 2, not of that of rank 4
  lowrank::for_each_weight<nn::Factored>(run.server.model(), [&](const std::string& layer,
                                                                 nn::Factored<double>& f) {
    INFO(layer);
    Tensor<double> a = nn::constant<double>(f.a().shape(), 0.0), b = nn::constant<double>(f.b().shape(), 0.0);
    a = to_layout(a, f.a().value().layout());
    Tensor<double> lost = lowrank_compose(f.base().value(), f.a().value(), f.b().value(), f.scale());
    for (double& x : lost.span()) x = -x;
    for (std::size_t k = 0; k < 3; ++k) {
      const auto& [own_a, own_b] = own.at(layer)[k];
      add_scaled(lost, run.shares[k], lowrank_compose(f.base().value(), own_a, own_b, f.scale()));
      add_scaled(a, run.shares[k], own.at(layer)[k].a);
      add_scaled(b, run.shares[k], own.at(layer)[k].b);
    }
    CHECK(difference(f.a().value(), a) < 1e-14);
    CHECK(difference(f.b().value(), b) < 1e-14);
    CHECK(linalg::norm(b) > 0.0);
    CHECK(linalg::norm(lost) > 1e-8);
    CHECK(run.server.aggregation_error().at(layer) == Approx(linalg::norm(lost)).epsilon(1e-6));
  });
  const auto before = lowrank::effective_weights(run.server.model());
  run.round();
  CHECK(run.server.merges() == 1);
  const auto after = frozen_weights(run.server.model());
  for (const auto& [layer, w] : before) CHECK(difference(after.at(layer), w) > 0.0);
}

TEST_CASE("mfedloru: a cohort of full budgets is FedLoRU bit for bit") {
  const bool keep = GENERATE(false, true);
  const auto kind = keep ? lowrank::MergeKind::keep : lowrank::MergeKind::reinit;
  const auto run = [&](const fl::AnyAlgorithm<float>& algorithm, fl::RankOptions ranks) {
    fl::Simulation<float> simulation{rank_four<float>("mlp"),
                                     algorithm,
                                     small_data(),
                                     small_parts(12),
                                     {.cohort = 10, .client = momentum_client(), .ranks = ranks, .seed = 9}};
    for (int i = 0; i < 5; ++i) simulation.run_round(false);
    return bits(simulation.model());
  };
  const fl::RankOptions full{.rule = fl::RankRule::fixed, .values = {4, 9}},
      less{fl::RankRule::fixed, {4, 3}};
  const auto expected = run(fl::FedLoRU{.tau = 2, .merge = kind}, {});
  CHECK((run(fl::MFedLoRU{.tau = 2, .merge = kind}, full) == expected));
  CHECK((run(fl::MFedLoRU{.tau = 2, .merge = kind}, less) != expected));
}

TEST_CASE("mfedloru: what travels, to the byte") {
  Mixed<float> run(rank_four<float>(), fl::MFedLoRU{.tau = 1});
  auto model = rank_four<float>();
  std::size_t others = 0, factors = 0, n = 0, m = 0;
  for (const auto& [name, t, role] : model.state())
    (!nn::is_factor(role) ? others : factors) += sizeof(float) * static_cast<std::size_t>(t.size());
  lowrank::for_each_weight<nn::Factored>(model, [&](auto&, nn::Factored<float>& f) {
    m = static_cast<std::size_t>(f.shape()[0]);
    n = static_cast<std::size_t>(f.shape()[1]);
  });
  REQUIRE(factors == sizeof(float) * 4 * (m + n));
  for (const bool missed : {false, true}) {
    run.server.begin_round();
    for (std::size_t k = 0; k < 3; ++k) {
      const std::size_t rank = std::size_t{1} << k;
      const fl::Message down = run.server.broadcast(static_cast<Index>(k));
      fl::Message up = fl::answer(run.devices[k], down, run.algorithm, small_data().train,
                                  small_parts(3).samples(static_cast<Index>(k)), momentum_client());
      CHECK(payload(down) == others + factors + (missed ? std::min(factors, sizeof(float) * m * n) : 0));
      CHECK(payload(up) == others + (rank == 4 ? factors : sizeof(float) * rank * (m + n + 2 * 4)));
      run.server.receive(std::move(up));
    }
    run.server.finish_round();
  }
}
