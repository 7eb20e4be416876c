#include <loru/optim/optim.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

using V = Variable<double>;

/// A parameter with a gradient.
V parameter(double value, double gradient) {
  V v(Tensor<double>({1}, {value}), true);
  v.accumulate(Tensor<double>({1}, {gradient}));
  return v;
}

/// Values of one parameter after each of three steps at the rate, with gradients 1, −2 and 0.5.
std::vector<double> three_steps(optim::Optimizer<double>& optimizer, double rate) {
  std::vector<double> values;
  for (double g : {1.0, -2.0, 0.5}) {
    optimizer.clear_gradients();
    optimizer.parameters()[0].accumulate(Tensor<double>({1}, {g}));
    optimizer.step(rate);
    values.push_back(optimizer.parameters()[0].value().data()[0]);
  }
  return values;
}

std::vector<double> sgd(const optim::SgdOptions& o) {
  optim::Sgd<double> optimizer({parameter(1.0, 0.0)}, o);
  return three_steps(optimizer, 0.1);
}

std::vector<double> adam(const optim::AdamOptions& o) {
  optim::Adam<double> optimizer({parameter(1.0, 0.0)}, o);
  return three_steps(optimizer, 0.1);
}

void check(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).epsilon(1e-13));
}

}  // namespace

TEST_CASE("sgd: steps worked out by hand") {
  check(sgd({}), {0.9, 1.1, 1.05});
  // v = 1, −1.1, −0.49
  check(sgd({.momentum = 0.9}), {0.9, 1.01, 1.059});
  // g + μ·v = 1.9, −2.99, 0.059
  check(sgd({.momentum = 0.9, .nesterov = true}), {0.81, 1.109, 1.1031});
  // g' = 1.5, −1.575, 1.00375
  check(sgd({.weight_decay = 0.5}), {0.85, 1.0075, 0.907125});
  // g' = 1.5, v = 1.5; w = 0.85, g' = −1.575, v = −0.825; w = 0.9325, g' = 0.96625, v = 0.55375
  check(sgd({.momentum = 0.5, .weight_decay = 0.5}), {0.85, 0.9325, 0.877125});
}

TEST_CASE("adam: steps worked out from the formulas") {
  const auto expected = [](double decay, bool decoupled) {
    double w = 1.0, m = 0.0, v = 0.0;
    std::vector<double> values;
    int t = 0;
    for (double g : {1.0, -2.0, 0.5}) {
      ++t;
      if (decoupled)
        w -= 0.1 * decay * w;
      else
        g += decay * w;
      m = 0.9 * m + 0.1 * g;
      v = 0.99 * v + 0.01 * g * g;
      const double m_hat = m / (1.0 - std::pow(0.9, t)), v_hat = v / (1.0 - std::pow(0.99, t));
      w -= 0.1 * m_hat / (std::sqrt(v_hat) + 1e-8);
      values.push_back(w);
    }
    return values;
  };
  CHECK(expected(0.0, false)[0] == Approx(0.9));  // the first step has the length of the rate
  check(adam({.beta2 = 0.99}), expected(0.0, false));
  check(adam({.beta2 = 0.99, .weight_decay = 0.5}), expected(0.5, false));
  check(adam({.beta2 = 0.99, .weight_decay = 0.5, .decoupled = true}), expected(0.5, true));
}

TEST_CASE("optimizers: parameters without a gradient are left alone, the others work in place") {
  V still(Tensor<double>({1}, {7.0}), true), moving = parameter(1.0, 1.0);
  const double* memory = moving.value().data();
  optim::Sgd<double> optimizer({still, moving}, {.momentum = 0.9, .weight_decay = 0.1});
  optimizer.step(0.1);
  CHECK(still.value().data()[0] == 7.0);
  CHECK(moving.value().data()[0] == Approx(1.0 - 0.1 * 1.1));
  CHECK(moving.value().data() == memory);
  CHECK(moving.gradient());
  optimizer.clear_gradients();
  CHECK_FALSE(moving.gradient());
}

TEST_CASE("optimizers: channels-last parameters") {
  V w(gaussian({4, 3, 3, 3}, 1, Layout::channels_last), true);
  const Tensor<double> before = clone(w.value()), g = gaussian({4, 3, 3, 3}, 2);
  w.accumulate(g);
  optim::Sgd<double> optimizer({w}, {.momentum = 0.9});
  optimizer.step(1.0);
  CHECK(loru_test::close(w.value(), to_layout(add(to_layout(before, Layout::row_major), scale(g, -1.0)),
                                              Layout::channels_last)));
}

TEST_CASE("optimizers: options that make no sense") {
  const std::vector<V> none;
  CHECK_THROWS_WITH(optim::Sgd<double>(none, {.momentum = 1.0}), "sgd: expected 0 <= momentum < 1, got 1");
  CHECK_THROWS_AS(optim::Sgd<double>(none, {.weight_decay = -1.0}), ConfigError);
  CHECK_THROWS_WITH(optim::Adam<double>(none, {.beta2 = 1.0}),
                    "adam: expected 0 <= beta1, beta2 < 1, got 0.9 and 1");
  CHECK_THROWS_AS(optim::Adam<double>(none, {.epsilon = 0.0}), ConfigError);
  CHECK_THROWS_AS(optim::Adam<double>(none, {.weight_decay = -0.1}), ConfigError);
}

TEST_CASE("clip: one norm over all gradients") {
  std::vector<V> p{parameter(0.0, 3.0), V(gaussian({2}), true), parameter(0.0, -4.0)};
  CHECK(optim::clip_gradient_norm(p, 10.0) == 5.0);
  CHECK(p[0].gradient().data()[0] == 3.0);  // within the limit
  CHECK(optim::clip_gradient_norm(p, 1.0) == 5.0);
  CHECK(p[0].gradient().data()[0] == Approx(0.6).epsilon(1e-6));
  CHECK(p[2].gradient().data()[0] == Approx(-0.8).epsilon(1e-6));
  CHECK_FALSE(p[1].gradient());

  const V other = p[0];
  const Tensor<double> held = other.gradient();  // a shared gradient is replaced, not changed
  optim::clip_gradient_norm(p, 0.1);
  CHECK(held.data()[0] == Approx(0.6).epsilon(1e-6));
}

TEMPLATE_TEST_CASE("clip: an optimizer clips on the way what clip_gradient_norm rewrites", "", float,
                   double) {
  using P = Variable<TestType>;
  const std::vector<Shape> shapes{{7}, {300, 250}, {3, 3}};
  const auto parameters = [&] {
    std::vector<P> p;
    for (const Shape& shape : shapes) p.emplace_back(gaussian<TestType>(shape, p.size() + 1), true);
    return p;
  };
  const auto gradient = [&](std::size_t i, int step) {
    return gaussian<TestType>(shapes[i], 10 * static_cast<std::uint64_t>(step) + i);
  };
  const auto kind = GENERATE(optim::Kind::sgd, optim::Kind::adam, optim::Kind::adamw);
  const double limit = GENERATE(0.5, 1e6);
  const optim::Options o{.kind = kind, .momentum = 0.9, .weight_decay = 0.1};
  optim::Options clipping = o;
  clipping.clip_norm = limit;
  std::vector<P> rewritten = parameters(), read = parameters();
  const auto plain = optim::make(o, rewritten), fused = optim::make(clipping, read);
  for (int step = 1; step <= 2; ++step) {
    plain->clear_gradients();
    fused->clear_gradients();
    for (std::size_t i : {std::size_t{0}, std::size_t{1}}) {  // the last takes no part
      rewritten[i].accumulate(gradient(i, step));
      read[i].accumulate(gradient(i, step));
    }
    optim::clip_gradient_norm(rewritten, limit);
    plain->step(0.1);
    fused->step(0.1);
  }
  for (std::size_t i = 0; i < read.size(); ++i) {
    CHECK(loru_test::difference(read[i].value(), rewritten[i].value()) <=
          (std::same_as<TestType, float> ? 1e-6 : 1e-13));
    if (i < 2) CHECK(same_bits(read[i].gradient(), gradient(i, 2)));
  }
  CHECK_THROWS_WITH(optim::make(optim::Options{.clip_norm = -1.0}, read),
                    "optimizer: expected clip_norm >= 0, got -1");
}

TEST_CASE("optimizers: the same bits for any number of threads") {
  const auto run = [](Index threads, optim::Kind kind) {
    WorkerPool pool(threads);
    ParallelScope scope(pool);
    Variable<float> w(gaussian<float>({200001}, 1), true);
    w.accumulate(gaussian<float>({200001}, 2));
    const auto optimizer = optim::make(optim::Options{.kind = kind, .momentum = 0.9, .clip_norm = 0.1},
                                       std::vector<Variable<float>>{w});
    optimizer->step(0.1);
    optimizer->step(0.1);
    return w.value();
  };
  for (optim::Kind kind : {optim::Kind::sgd, optim::Kind::adam})
    for (Index threads : {2, 5}) CHECK(same_bits(run(threads, kind), run(1, kind)));
}

TEST_CASE("schedule: rates over time") {
  using optim::Schedule, optim::ScheduleKind;
  const Schedule constant{};
  CHECK(constant.rate(0.5, 100, 10) == 0.5);

  const Schedule step{.kind = ScheduleKind::step, .every = 3, .gamma = 0.1};
  check({step.rate(1.0, 0, 9), step.rate(1.0, 2, 9), step.rate(1.0, 3, 9), step.rate(1.0, 8, 9)},
        {1.0, 1.0, 0.1, 0.01});

  const Schedule cosine{.kind = ScheduleKind::cosine, .minimum = 0.2};
  check(
      {cosine.rate(1.0, 0, 10), cosine.rate(1.0, 5, 10), cosine.rate(1.0, 10, 10), cosine.rate(1.0, 99, 10)},
      {1.0, 0.6, 0.2, 0.2});

  const Schedule warm{.kind = ScheduleKind::cosine, .warmup = 4};
  check({warm.rate(1.0, 0, 14), warm.rate(1.0, 3, 14), warm.rate(1.0, 4, 14), warm.rate(1.0, 9, 14)},
        {0.2, 0.8, 1.0, 0.5});
  CHECK(warm.rate(1.0, 4, 4) == 1.0);  // nothing left after the warm-up

  CHECK_THROWS_WITH((Schedule{.every = 0}.rate(1.0, 0, 1)),
                    "schedule: every: expected a whole number >= 1, got 0");
  CHECK_THROWS_AS((Schedule{.warmup = -1}.rate(1.0, 0, 1)), ConfigError);
}

TEST_CASE("optimizers: made by kind, with the options of their kind") {
  const auto three = [](const optim::Options& o) {
    const auto optimizer = optim::make<double, Cpu>(o, {parameter(1.0, 0.0)});
    return three_steps(*optimizer, 0.1);
  };
  const optim::Options o{.momentum = 0.9, .nesterov = true, .beta2 = 0.99, .weight_decay = 0.5};
  optim::Options other = o;
  check(three(o), sgd({.momentum = 0.9, .nesterov = true, .weight_decay = 0.5}));
  other.kind = optim::Kind::adam;
  check(three(other), adam({.beta2 = 0.99, .weight_decay = 0.5}));
  other.kind = optim::Kind::adamw;
  check(three(other), adam({.beta2 = 0.99, .weight_decay = 0.5, .decoupled = true}));
}
