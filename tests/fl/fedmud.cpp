// FedMUD: aggregation-aware updates, merged and restarted.
#include <set>
#include <loru/autograd/gradcheck.hpp>

#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;
using lowrank::PlanChoice;

namespace {

template <class T>
using Aware = nn::AggregationAware<T>;

template <class T>
nn::Model<T> aware_model(std::string_view name = "mlp", double initial = 0.1) {
  auto model = small_model<T>(name);
  lowrank::factorize_aggregation_aware(model, {.rank = 2, .alpha = 3.0}, initial);
  return model;
}

/// The tensors of a model whose name ends so.
template <class T>
std::map<std::string, Tensor<T>> tensors(nn::Model<T>& model, const std::string& end) {
  std::map<std::string, Tensor<T>> found;
  for (const auto& p : model.parameters())
    if (p.name.ends_with(end)) found[p.name] = p.value.value();
  REQUIRE(!found.empty());
  return found;
}

template <class T>
bool zero(const std::map<std::string, Tensor<T>>& all) {
  return std::ranges::all_of(all, [](const auto& t) { return squared_norm(t.second) == 0.0; });
}

/// One layer with random A and B.
Aware<double> random_aware(bool convolution, PlanChoice plan) {
  const Shape w = convolution ? Shape{4, 3, 3, 2} : Shape{5, 7};
  const auto layout = convolution ? Layout::channels_last : Layout::row_major;
  Aware<double> layer(gaussian(w, 1, layout), 2,
                      lowrank::detail::factor_options<double, Cpu>({.alpha = 3.0, .plan = plan}, 2), 0.5,
                      rng::Stream(4, rng::Purpose::merge));
  layer.a().set_value(gaussian(layer.a().shape(), 2, layout));
  layer.b().set_value(gaussian(layer.b().shape(), 3));
  return layer;
}

}  // namespace

TEST_CASE("Aggregation-aware weight: W + s·(B·A_0 + B_0·A), number by number") {
  const bool convolution = GENERATE(false, true);
  auto layer = random_aware(convolution, PlanChoice::composed);
  const auto fixed = layer.fixed(0);
  const Index m = layer.shape()[0], n = fixed.a.size() / 2;
  const auto w = layer.base().value();
  const Tensor<double> got = compose(layer.form()).value();
  REQUIRE(got.layout() == w.layout());
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      double expected = w.data()[i * n + j];
      for (Index k = 0; k < 2; ++k)
        expected += 1.5 * (layer.b().value().data()[i * 2 + k] * fixed.a.data()[k * n + j] +
                           fixed.b.data()[i * 2 + k] * layer.a().value().data()[k * n + j]);
      REQUIRE(got.data()[i * n + j] == Approx(expected).epsilon(1e-12));
    }
  CHECK(close(layer.merged(w, layer.a().value(), layer.b().value(), 1.5, 0), got));
  const auto other = layer.fixed(1);
  CHECK_FALSE(same_bits(other.a, fixed.a));
  CHECK_FALSE(same_bits(other.b, fixed.b));
  layer.restart(1);
  CHECK(same_bits(compose(layer.form()).value(), w));
  for (const double x : other.a.span()) CHECK(std::abs(x) <= 0.5);
}

TEST_CASE("Aggregation-aware weight: gradients in every plan, linear and convolution") {
  const bool convolution = GENERATE(false, true);
  const auto plan = GENERATE(PlanChoice::factored, PlanChoice::composed, PlanChoice::composed_full);
  auto layer = random_aware(convolution, plan);
  std::vector<Variable<double>> inputs{layer.a(), layer.b()};
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

TEST_CASE("fedmud: the effective weight is the mean of the clients', merged or not") {
  const std::string name = GENERATE("mlp", "resnet10");
  const Index interval = GENERATE(1, 2, 1000), rounds = GENERATE(1, 2, 3);
  OneRound<double> run(aware_model<double>(name), fl::FedMUD{.interval = interval}, rounds);
  require_close(lowrank::effective_weights(run.server.model()), mean_weights(run), 1e-12);
  CHECK(run.server.merges() == rounds / interval);
  CHECK(zero(tensors(run.server.model(), "aad_A.weight")) == (rounds % interval == 0));
  CHECK(zero(tensors(run.server.model(), "aad_B.weight")) == (rounds % interval == 0));
}

TEST_CASE("fedmud: a restart draws new fixed factors, which are common to all and never sent") {
  auto start = aware_model<float>(GENERATE("mlp", "resnet10"), 0.25);
  const Index interval = GENERATE(1, 2);
  Federation<float> run(start, fl::FedMUD{.interval = interval, .initial = 0.25});
  const auto fixed = [&](nn::Model<float>& model) {
    return std::pair(tensors(model, "aad_A0.weight"), tensors(model, "aad_B0.weight"));
  };
  std::vector<std::map<std::string, Tensor<float>>> drawn;
  for (Index round = 1; round <= 4; ++round) {
    const auto before = fixed(run.server.model());
    if (run.server.merges() == std::ssize(drawn)) drawn.push_back(before.first);
    CHECK(same(before.first, drawn.back()));
    run.round();
    for (auto& device : run.devices) {
      CHECK(same(fixed(device).first, before.first));
      CHECK(same(fixed(device).second, before.second));
    }
  }
  for (std::size_t i = 1; i < drawn.size(); ++i) CHECK_FALSE(same(drawn[i], drawn[i - 1]));
  float largest = 0.0f;
  for (const auto& [layer, t] : drawn[0])
    for (const float x : t.span()) largest = std::max(largest, std::abs(x));
  CHECK(largest <= 0.25f);
  CHECK(largest > 0.2f);
}

TEST_CASE("fedmud: each merge adds rank 2·r") {
  auto start = aware_model<double>();
  const auto first = lowrank::effective_weights(start).at("fc2");
  const Index rounds = GENERATE(1, 2, 3);
  OneRound<double> merged(start, fl::FedMUD{}, rounds), never(start, fl::FedMUD{.interval = 1000}, rounds);
  CHECK(lowrank::update_rank(lowrank::effective_weights(merged.server.model()).at("fc2"), first) ==
        4 * rounds);
  CHECK(lowrank::update_rank(lowrank::effective_weights(never.server.model()).at("fc2"), first) == 4);
}

TEST_CASE("fedmud: names and bytes of messages") {
  auto start = aware_model<float>(GENERATE("mlp", "resnet10"));
  const std::size_t others = chosen_bytes(start, fl::not_factor), all = chosen_bytes(start, {});
  std::size_t merge = 0;  // r·(m + n), or W where that is cheaper
  lowrank::for_each_weight<nn::AggregationAware>(start, [&](const std::string&, Aware<float>& layer) {
    const Index size = layer.base().value().size(), m = layer.shape()[0];
    merge += sizeof(float) * static_cast<std::size_t>(std::min(size, 2 * (m + size / m)));
  });
  Federation<float> always(start, fl::FedMUD{}), second(start, fl::FedMUD{.interval = 2});
  for (Index round = 1; round <= 3; ++round) {
    always.round();
    second.round();
    CHECK(always.up == std::vector<std::size_t>(clients, all));
    CHECK(second.up == always.up);
    CHECK(always.down == std::vector<std::size_t>(clients, others + (round > 1 ? merge : 0)));
    CHECK(second.down == std::vector<std::size_t>(clients, all + (round == 3 ? merge : 0)));
  }
  always.server.begin_round();
  const fl::Message down = always.server.broadcast(0);
  const fl::Message up = fl::answer(always.devices[0], down, always.algorithm, small_data().train,
                                    always.parts.samples(0), always.options);
  for (const std::string& name : io::borrow(up).names())
    CHECK(name.find("A0") + name.find("B0") == 2 * std::string::npos);
  for (const std::string& name : io::borrow(down).names()) {
    CHECK(name.find("aad_") == std::string::npos);
    CHECK((!name.starts_with("merge.") || name.starts_with("merge.2.")));
  }
}

TEST_CASE("fedmud: a client that slept through merges comes to the server's weights") {
  auto start = aware_model<float>(GENERATE("mlp", "resnet10"));
  const fl::AnyAlgorithm<float> algorithm(fl::FedMUD{.interval = GENERATE(1, 2)});
  fl::Server<float> server(start, algorithm, seed, {.clients = clients});
  std::vector<nn::Model<float>> devices(clients, start);
  const auto parts = small_parts(clients);
  for (Index round = 1; round <= 6; ++round) {
    server.begin_round();
    for (Index k = 0; k < clients; ++k) {
      if (k == 2 && round > 1 && round < 6) continue;
      const auto at = static_cast<std::size_t>(k);
      auto up = fl::answer(devices[at], server.broadcast(k), algorithm, small_data().train, parts.samples(k),
                           momentum_client());
      CHECK(same(frozen(devices[at]), frozen(server.model())));
      server.receive(std::move(up));
    }
    server.finish_round();
  }
}

TEST_CASE("fedmud: a server optimizer moves A and B, and its moments start anew with them") {
  auto start = aware_model<double>();
  const fl::ServerOptimizer momentum{.rule = fl::ServerRule::fedavgm, .learning_rate = 0.5, .beta1 = 0.5};
  fl::Server<double> first(start, fl::FedMUD{.interval = 2}, seed,
                           {.clients = clients, .optimizer = momentum});
  OneRound<double> once(first, start, 1), twice(first, start, 2);
  // From zero the first step is half the mean.
  auto half = mean_weights(once);
  for (auto& [layer, w] : half) {
    for (double& x : w.span()) x *= 0.5;
    add_scaled(w, 0.5, lowrank::effective_weights(start).at(layer));
  }
  require_close(lowrank::effective_weights(once.server.model()), half, 1e-12);
  CHECK(once.server.memory().contains("server.m.fc2.aad_A.weight"));
  CHECK_FALSE(twice.server.memory().contains("server.m.fc2.aad_A.weight"));
  CHECK(twice.server.memory().contains("server.m.fc1.weight"));
}

TEST_CASE("fedmud refuses what it cannot have") {
  auto model = small_model<float>();
  const fl::AnyAlgorithm<float> algorithm(fl::FedMUD{});
  CHECK(message_of<ConfigError>([&] {
          algorithm.parametrise(model, {.rank = 2, .start = lowrank::Start::svd});
        }) == "factorize: start: expected zero for factors beside fixed ones");
  CHECK(message_of<ConfigError>([] { fl::AnyAlgorithm<float>(fl::FedMUD{.interval = 0}); }) ==
        "fedmud: interval: expected a whole number >= 1, got 0");
  CHECK_THROWS_AS(fl::AnyAlgorithm<float>(fl::FedMUD{.initial = 0.0}), ConfigError);
  CHECK(message_of<ConfigError>([&] { fl::Server<float>(small_factored<float>(), algorithm, 1); }) ==
        "fedmud: expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
}
