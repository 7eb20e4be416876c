// Training without a federation.
#include <loru/data/digits.hpp>
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/train.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// y = 2·x₀ − x₁ + 1 without noise.
data::Dataset plane(Index count) {
  rng::Stream random(7);
  std::vector<float> x;
  data::Numbers y;
  for (Index i = 0; i < count; ++i) {
    const double a = random.uniform(-1.0, 1.0), b = random.uniform(-1.0, 1.0);
    x.insert(x.end(), {static_cast<float>(a), static_cast<float>(b)});
    y.values.push_back(static_cast<float>(2.0 * a - b + 1.0));
  }
  return {.name = "plane", .sample = {2}, .features = x, .targets = y};
}

nn::Model<float> line() {
  return nn::logistic<float>({.channels = 2, .height = 1, .width = 1, .classes = 1});
}

}  // namespace

TEST_CASE("fit: a line through points without noise") {
  const data::Dataset set = plane(200);
  auto model = line();
  const auto losses = train::fit(model, set, {.epochs = 60, .batch = 10, .optimizer = {.learning_rate = 0.1}},
                                 train::Regression{});
  CHECK(losses.size() == 60);
  CHECK(losses.back() < 1e-8);
  WorkerPool pool(1);
  CHECK(train::evaluate(model, set, pool, train::Regression{}).metrics[1] == Approx(1.0));
}

TEST_CASE("fit: schedules count epochs or steps, and gradients may be adjusted") {
  const data::Dataset set = plane(20);
  const auto bits = [&](train::FitOptions options, const train::AdjustGradients<float>& adjust = {}) {
    auto model = line();
    train::fit(model, set, options, train::Regression{}, adjust);
    return to_host(model.parameters()[0].value.value());
  };
  const optim::Schedule halves{.kind = optim::ScheduleKind::step, .every = 1, .gamma = 0.5};
  const auto plain = bits({.epochs = 2, .batch = 10});
  CHECK(same_bits(plain, bits({.epochs = 2, .batch = 10})));
  CHECK_FALSE(same_bits(plain, bits({.epochs = 2, .batch = 10, .seed = 2})));
  const auto by_epoch = bits({.epochs = 2, .batch = 10, .schedule = halves});
  const auto by_step = bits({.epochs = 2, .batch = 10, .schedule = halves, .schedule_per_step = true});
  CHECK_FALSE(same_bits(plain, by_epoch));
  CHECK_FALSE(same_bits(by_step, by_epoch));
  // With one step an epoch the two are the same.
  CHECK(same_bits(bits({.epochs = 3, .batch = 20, .schedule = halves}),
                  bits({.epochs = 3, .batch = 20, .schedule = halves, .schedule_per_step = true})));
  int calls = 0;
  const auto still = bits({.epochs = 2, .batch = 10}, [&](std::vector<Variable<float>>& parameters) {
    ++calls;
    for (auto& p : parameters) fill(p.mutable_gradient(), 0.0f);
  });
  CHECK(calls == 4);
  auto fresh = line();
  CHECK(same_bits(still, fresh.parameters()[0].value.value()));
}

TEST_CASE("fit: low-rank layers of a model on real digits") {
  const data::Split digits = data::digits(data::Path{LORU_SOURCE_DIR} / "examples/data");
  auto model = nn::mlp<float>({.height = 8, .width = 8});
  lowrank::factorize(model, {.rank = 4, .alpha = 8.0, .layers = {"fc1", "fc2"}});
  train::fit(model, digits.train, {.epochs = 6, .optimizer = {.learning_rate = 0.01, .momentum = 0.9}});
  WorkerPool pool(1);
  CHECK(train::evaluate(model, digits.test, pool).accuracy > 0.85);
}

TEST_CASE("fit: misuse and divergence are named") {
  const data::Dataset set = plane(20);
  auto model = line();
  const auto fit = [&](train::FitOptions options) { train::fit(model, set, options, train::Regression{}); };
  CHECK_THROWS_WITH(fit({.epochs = 0}), "fit: epochs: expected at least 1, got 0");
  CHECK_THROWS_WITH(fit({.batch = 0}), "fit: batch: expected at least 1, got 0");
  CHECK_THROWS_WITH(train::fit(model, set, {}),
                    "classification: plane: expected classes as targets, got numbers");
  CHECK_THROWS_WITH(train::fit(model, set, std::vector<Index>{}, {}, train::Regression{}),
                    "fit: expected at least one sample");
  CHECK_THROWS_AS(fit({.epochs = 50, .optimizer = {.learning_rate = 1e20}}), DivergedError);
}
