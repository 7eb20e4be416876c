// Fed-SB: a core between two fixed factors.
#include <loru/autograd/gradcheck.hpp>

#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;
using lowrank::PlanChoice;

namespace {

template <class T>
nn::Model<T> core_model(std::string_view name = "mlp", std::uint64_t own_seed = 1) {
  auto model = small_model<T>(name);
  lowrank::factorize_core(model, {.rank = 2, .alpha = 3.0, .seed = own_seed});
  return model;
}

/// One layer with a random core.
nn::CoreFactored<double> random_core(bool convolution, PlanChoice plan) {
  const Shape w = convolution ? Shape{4, 3, 3, 2} : Shape{5, 7};
  const auto layout = convolution ? Layout::channels_last : Layout::row_major;
  const auto f = lowrank::orthonormal_factors<double>(w, 2, rng::Stream(4));
  nn::CoreFactored<double> layer(
      gaussian(w, 1, layout), to_layout(f.a, layout), f.b,
      lowrank::detail::factor_options<double, Cpu>({.alpha = 3.0, .plan = plan}, 2));
  layer.core().set_value(gaussian({2, 2}, 2));
  return layer;
}

}  // namespace

TEST_CASE("Core-factored weight: W + s·B·R·A with orthonormal A and B") {
  const bool convolution = GENERATE(false, true);
  auto layer = random_core(convolution, PlanChoice::composed);
  const auto &a = layer.a().value(), &b = layer.b().value(), &r = layer.core().value();
  const Index m = layer.shape()[0], n = a.size() / 2;
  const Tensor<double> got = compose(layer.form()).value();
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      double expected = layer.base().value().data()[i * n + j];
      for (Index k = 0; k < 2; ++k)
        for (Index l = 0; l < 2; ++l)
          expected += 1.5 * b.data()[i * 2 + k] * r.data()[k * 2 + l] * a.data()[l * n + j];
      REQUIRE(got.data()[i * n + j] == Approx(expected).epsilon(1e-12));
    }
  for (Index k = 0; k < 2; ++k)
    for (Index l = 0; l < 2; ++l) {
      double rows = 0.0, columns = 0.0;
      for (Index j = 0; j < n; ++j) rows += a.data()[k * n + j] * a.data()[l * n + j];
      for (Index i = 0; i < m; ++i) columns += b.data()[i * 2 + k] * b.data()[i * 2 + l];
      CHECK(rows == Approx(k == l ? 1.0 : 0.0).margin(1e-12));
      CHECK(columns == Approx(k == l ? 1.0 : 0.0).margin(1e-12));
    }
  CHECK_THROWS_AS(nn::CoreFactored<double>(gaussian({5, 7}), gaussian({2, 6}), gaussian({5, 2}), {}),
                  ShapeError);
}

TEST_CASE("Core-factored weight: gradients in every plan, linear and convolution") {
  const bool convolution = GENERATE(false, true);
  const auto plan = GENERATE(PlanChoice::factored, PlanChoice::composed, PlanChoice::composed_full);
  auto layer = random_core(convolution, plan);
  std::vector<Variable<double>> inputs{layer.core()};
  inputs.emplace_back(convolution ? gaussian({2, 3, 5, 4}, 8, Layout::channels_last) : gaussian({3, 7}, 8),
                      true);
  const auto f = [&](std::vector<Variable<double>>& v) {
    nn::Pass pass;
    const auto y = convolution ? nn::conv2d(layer.form(), v.back(), {.stride = 2, .padding = 1}, pass)
                               : nn::linear(layer.form(), v.back(), pass);
    return sum(multiply(y, Variable<double>(gaussian(y.shape(), 99, y.value().layout()))));
  };
  CHECK(gradcheck(f, inputs) < 1e-6);
}

TEST_CASE("fed_sb: the effective weight is the mean of the clients', and the fixed factors never move") {
  const std::string name = GENERATE("mlp", "resnet10");
  const Index rounds = GENERATE(1, 2);
  auto start = core_model<double>(name);
  const auto before = frozen(start);
  OneRound<double> run(start, fl::FedSB{}, rounds);
  require_close(lowrank::effective_weights(run.server.model()), mean_weights(run), 1e-12);
  CHECK(same(frozen(run.server.model()), before));
  for (auto& device : run.devices) CHECK(same(frozen(device), before));
  CHECK(run.server.merges() == 0);
  lowrank::for_each_weight<nn::CoreFactored>(run.server.model(), [&](const std::string& layer, auto& weight) {
    INFO(layer);
    CHECK(squared_norm(weight.core().value()) > 0.0);
  });
}

TEST_CASE("fed_sb: the update keeps its rank and its spaces") {
  auto start = core_model<double>();
  const auto first = lowrank::effective_weights(start).at("fc2");
  OneRound<double> run(start, fl::FedSB{}, 3);
  CHECK(lowrank::update_rank(lowrank::effective_weights(run.server.model()).at("fc2"), first) == 2);
}

TEST_CASE("fed_sb: fixed factors follow from the seed, layer by layer") {
  auto one = core_model<float>("resnet10"), again = core_model<float>("resnet10"),
       other = core_model<float>("resnet10", 2);
  const auto a = frozen(one), b = frozen(other);
  CHECK(same(a, frozen(again)));
  Index fixed = 0;
  for (const auto& [name, tensor] : a) {
    if (name.find("core_") == std::string::npos) continue;
    CHECK_FALSE(same_bits(tensor, b.at(name)));
    for (const auto& [second, value] : a) CHECK((second == name || !same_bits(tensor, value)));
    ++fixed;
  }
  CHECK(fixed == 2 * 11);
}

TEST_CASE("fed_sb: r·r numbers a layer, up and down, by name") {
  auto start = core_model<float>(GENERATE("mlp", "resnet10"));
  Index layers = 0;
  lowrank::for_each_weight<nn::CoreFactored>(start, [&](auto&, auto&) { ++layers; });
  const std::size_t cores = static_cast<std::size_t>(4 * layers) * sizeof(float);
  const std::size_t others =
      chosen_bytes(start, [](const nn::TensorId& tensor) { return tensor.role != nn::Role::inner; });
  CHECK(chosen_bytes(start, {}) == others + cores);
  Federation<float> run(start, fl::FedSB{});
  for (int round = 0; round < 3; ++round) {
    run.round();
    CHECK(run.up == std::vector<std::size_t>(clients, others + cores));
    CHECK(run.down == run.up);
  }
  run.server.begin_round();
  const fl::Message down = run.server.broadcast(0);
  const io::Archive archive = io::borrow(down);
  Index sent = 0;
  for (const std::string& name : archive.names()) {
    if (name.find("core_") == std::string::npos) continue;
    CHECK(name.ends_with(".core_R.weight"));
    CHECK(archive.raw(name).shape == Shape({2, 2}));
    ++sent;
  }
  CHECK(sent == layers);
}

TEST_CASE("fed_sb: after a warm-up every client gets the frozen weights once") {
  auto cold = core_model<float>(), warm = small_model<float>();
  warm.visit({.parameter = [](const std::string&, Variable<float>& v) {
    v.set_value(gaussian<float>(v.shape(), 3, v.value().layout()));
  }});
  lowrank::factorize_core(warm, {.rank = 2, .alpha = 3.0, .seed = 1});
  const fl::AnyAlgorithm<float> algorithm(fl::FedSB{});
  fl::Server<float> server(warm, algorithm, seed,
                           {.clients = clients, .rounds_before = 2, .weights_known = false});
  auto device = cold;
  const std::size_t state = chosen_bytes(warm, {});
  for (Index round = 1; round <= 3; ++round) {
    server.begin_round();
    const fl::Message down = server.broadcast(0);
    CHECK(payload(down) == state + (round == 1 ? sizeof(float) * 256 * 256 : 0));
    server.receive(fl::answer(device, down, algorithm, small_data().train, small_parts(clients).samples(0),
                              momentum_client()));
    CHECK(same(frozen(device), frozen(server.model())));
    server.finish_round();
  }
}

TEST_CASE("fed_sb: a server optimizer moves R") {
  auto start = core_model<double>();
  fl::Server<double> first(start, fl::FedSB{}, seed,
                           {.clients = clients, .optimizer = {.learning_rate = 0.5}});
  OneRound<double> run(std::move(first), start, 1);
  auto half = mean_weights(run);
  for (auto& [layer, w] : half) {
    for (double& x : w.span()) x *= 0.5;
    add_scaled(w, 0.5, lowrank::effective_weights(start).at(layer));
  }
  require_close(lowrank::effective_weights(run.server.model()), half, 1e-12);
}

TEST_CASE("fed_sb: what it refuses, and ranks above a layer's") {
  auto model = small_model<float>("resnet10");
  const fl::AnyAlgorithm<float> algorithm(fl::FedSB{});
  CHECK(message_of<ConfigError>([&] {
          algorithm.parametrise(model, {.rank = 2, .start = lowrank::Start::svd});
        }) == "factorize: start: expected zero for a core between fixed factors");
  CHECK_THROWS_AS(algorithm.parametrise(model, {.rank = 20}), ConfigError);
  algorithm.parametrise(model, {.rank = 20, .small_layers = lowrank::SmallLayers::factor});
  lowrank::for_each_weight<nn::CoreFactored>(model, [](auto&, nn::CoreFactored<float>& layer) {
    const Index m = layer.shape()[0], n = layer.base().value().size() / m;
    CHECK(layer.rank() == std::min<Index>({20, m, n}));
  });
}
