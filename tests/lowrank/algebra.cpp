#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/optim/optim.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::gaussian;
using loru_test::labels;
using loru_test::same_bits;
using lowrank::MergeKind;
using lowrank::PlanChoice;

namespace {

const nn::ModelOptions options{.channels = 2, .height = 8, .width = 8, .classes = 5};

template <class T>
nn::Model<T> factored_cnn(PlanChoice plan = PlanChoice::automatic, Index rank = 2) {
  nn::Model<T> model = nn::build<T>("cnn", options);
  lowrank::factorize(model, {.rank = rank, .alpha = 3.0, .layers = {"conv2", "fc1"}, .plan = plan});
  return model;
}

/// Steps of an optimizer on one random batch; what they took from the system, each.
template <class T>
std::vector<std::uint64_t> run_steps(nn::Model<T>& model, const optim::Options& o, int steps,
                                     std::uint64_t seed) {
  std::vector<Variable<T>> parameters;
  for (const auto& p : model.trained_parameters()) parameters.push_back(p.value);
  const auto optimizer = optim::make(o, parameters);
  const Variable<T> x(gaussian<T>({6, 2, 8, 8}, seed));
  const Tensor<std::int32_t> y = labels(6, 5);
  std::vector<std::uint64_t> taken;
  for (int i = 0; i < steps; ++i) {
    const std::uint64_t before = memory::statistics().system_allocations;
    optimizer->clear_gradients();
    cross_entropy(model(x, nn::Pass::train()), y).backward();
    optimizer->step(0.05);
    taken.push_back(memory::statistics().system_allocations - before);
  }
  return taken;
}

template <class T>
std::vector<std::uint64_t> run_steps(nn::Model<T>& model, int steps, std::uint64_t seed = 1) {
  return run_steps(model, optim::Options{.momentum = 0.9, .weight_decay = 1e-4}, steps, seed);
}

}  // namespace

TEST_CASE("algebra: merged and begun anew computes what unmerged did") {
  nn::Model<double> model = factored_cnn<double>();
  run_steps(model, 3);
  nn::Model<double> merged = model;
  lowrank::merge(merged, MergeKind::reinit, rng::Stream(3));
  const Variable<double> x(gaussian({4, 2, 8, 8}, 7));
  CHECK(close(merged(x).value(), model(x).value()));
  lowrank::for_each_weight<nn::Factored>(merged, [](const std::string&, nn::Factored<double>& f) {
    for (double b : f.b().value().span()) CHECK(b == 0.0);
    CHECK(squared_norm(f.a().value()) > 0.0);
    CHECK(f.a().requires_grad());
    CHECK(f.b().requires_grad());
    CHECK_FALSE(f.base().requires_grad());
  });
}

TEST_CASE("algebra: merged and kept adds s·B·A a second time") {
  nn::Model<double> model = factored_cnn<double>();
  run_steps(model, 3);
  const auto before = lowrank::effective_weights(model);
  std::map<std::string, Tensor<double>> twice;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& name, nn::Factored<double>& f) {
    twice[name] = lowrank_compose(before.at(name), f.a().value(), f.b().value(), f.scale());
  });
  lowrank::merge(model, MergeKind::keep, rng::Stream(3));
  const auto after = lowrank::effective_weights(model);
  REQUIRE(after.size() == 2);
  for (const auto& [name, weight] : after) {
    CHECK(close(weight, twice.at(name)));
    CHECK_FALSE(close(weight, before.at(name)));
  }
}

TEST_CASE("algebra: merging depends on its stream alone, and layers differ") {
  const nn::Model<double> model = factored_cnn<double>();
  const auto factors = [&](std::uint64_t seed) {
    nn::Model<double> copy = model;
    lowrank::merge(copy, MergeKind::reinit, rng::Stream(seed));
    std::vector<Tensor<double>> all;
    lowrank::for_each_weight<nn::Factored>(
        copy, [&](const std::string&, nn::Factored<double>& f) { all.push_back(f.a().value()); });
    return all;
  };
  const auto a = factors(1), b = factors(1), c = factors(2);
  CHECK((same_bits(a[0], b[0]) && same_bits(a[1], b[1])));
  CHECK_FALSE(same_bits(a[0], c[0]));
  CHECK(a[0].data()[0] / a[0].data()[1] != Approx(a[1].data()[0] / a[1].data()[1]));
}

TEST_CASE("algebra: training is the same in every graph") {
  std::vector<std::map<std::string, Tensor<double>>> weights;
  for (PlanChoice plan : {PlanChoice::factored, PlanChoice::composed, PlanChoice::composed_full}) {
    nn::Model<double> model = factored_cnn<double>(plan);
    run_steps(model, 5);
    weights.push_back(lowrank::effective_weights(model));
  }
  nn::Model<double> untrained = factored_cnn<double>();
  const auto start = lowrank::effective_weights(untrained);
  for (const auto& [name, weight] : weights[0]) {
    CHECK(loru_test::difference(weight, start.at(name)) > 1e-3);
    CHECK(loru_test::difference(weights[1].at(name), weight) < 1e-9);
    CHECK(loru_test::difference(weights[2].at(name), weight) < 1e-9);
  }
}

TEMPLATE_TEST_CASE("algebra: merges accumulate an update of higher rank than r", "", float, double) {
  nn::Model<TestType> model = factored_cnn<TestType>();
  const auto start = lowrank::effective_weights(model);
  for (std::uint64_t merges = 1; merges <= 3; ++merges) {
    run_steps(model, 4, merges);
    for (const auto& [name, weight] : lowrank::effective_weights(model)) {
      INFO(name << " before merge " << merges);
      CHECK(lowrank::update_rank(weight, start.at(name)) == 2 * static_cast<Index>(merges));
      const double smooth = lowrank::effective_rank(lowrank::update_spectrum(weight, start.at(name)));
      CHECK((smooth > 1.0 && smooth < 2.0 * static_cast<double>(merges) + 0.5));
    }
    lowrank::merge(model, MergeKind::reinit, rng::Stream(merges));
  }
  CHECK(lowrank::update_rank(start.at("fc1"), start.at("fc1")) == 0);
}

TEST_CASE("algebra: what floats round is no direction of an update") {
  const Tensor<float> start = gaussian<float>({96, 64}, 1), a = gaussian<float>({2, 64}, 2),
                      b = gaussian<float>({96, 2}, 3);
  for (const double scale : {1e-4, 1e-3, 1e-1}) {
    INFO(scale);
    CHECK(lowrank::update_rank(lowrank_compose(start, a, b, scale), start) == 2);
  }
}

TEST_CASE("algebra: effective rank of known spectra") {
  CHECK(lowrank::effective_rank({}) == 0.0);
  CHECK(lowrank::effective_rank({0.0, 0.0}) == 0.0);
  CHECK(lowrank::effective_rank({5.0, 0.0}) == Approx(1.0));
  CHECK(lowrank::effective_rank({2.0, 2.0, 2.0}) == Approx(3.0));
}

TEST_CASE("algebra: factors from a decomposition") {
  const Tensor<double> m = gaussian({5, 2, 2, 2}, 1, Layout::channels_last);
  const auto f = lowrank::svd_factors(m, 5, 0.5);
  CHECK(f.a.shape() == Shape{5, 2, 2, 2});
  CHECK(f.a.layout() == Layout::channels_last);
  Tensor<double> zero(m.shape(), m.layout());
  fill(zero, 0.0);
  CHECK(loru_test::difference(lowrank_compose(zero, f.a, f.b, 0.5), m) < 1e-9);
  CHECK_THROWS_AS(lowrank::svd_factors(m, 6, 0.5), ShapeError);
  CHECK_THROWS_AS(lowrank::svd_factors(m, 2, 0.0), ConfigError);
}

TEST_CASE("algebra: after its first step a training step takes no memory from the system") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  nn::Model<float> model =
      factored_cnn<float>(GENERATE(PlanChoice::factored, PlanChoice::composed, PlanChoice::composed_full));
  const std::vector<std::uint64_t> taken = run_steps(model, 5);
  CHECK(std::vector<std::uint64_t>(taken.begin() + 1, taken.end()) == std::vector<std::uint64_t>(4, 0));
}

TEST_CASE("algebra: nor does a step of any bundled model with either norm and any optimizer") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  const auto kind = GENERATE(optim::Kind::sgd, optim::Kind::adam);
  const auto norm = GENERATE(nn::Norm::batch, nn::Norm::group);
  for (const char* name : {"logistic", "mlp", "cnn", "resnet10"}) {
    INFO(name);
    nn::ModelOptions o = options;
    o.norm = norm;
    o.narrow = 8;
    nn::Model<float> model = nn::build<float>(name, o);
    const auto taken =
        run_steps(model, optim::Options{.kind = kind, .momentum = 0.9, .clip_norm = 0.1}, 5, 1);
    CHECK(std::vector<std::uint64_t>(taken.begin() + 1, taken.end()) == std::vector<std::uint64_t>(4, 0));
  }
}
