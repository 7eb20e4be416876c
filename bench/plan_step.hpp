#pragma once
// One factored layer's part of a training step, made from a planner's problem: forward, input gradient,
// factor gradients, in any plan.

#include <ctime>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <loru/lowrank/lowrank.hpp>

namespace loru_bench {

using loru::Index, loru::Plan, loru::Shape, loru::Tensor, loru::Variable, loru::nn::LowRankProblem;

inline constexpr std::array plans{Plan::factored, Plan::composed, Plan::composed_full};

inline Tensor<float> normal(const Shape& shape, std::uint32_t number) {
  Tensor<float> t(shape, shape.rank() == 4 ? loru::Layout::channels_last : loru::Layout::row_major);
  loru::rng::Stream stream = loru::rng::Stream(1, loru::rng::Purpose::synthetic).fork(number);
  for (float& v : t.span()) v = static_cast<float>(0.1 * stream.normal());
  return t;
}

/// Seconds of processor time of this thread, which other programs disturb less than the clock on the wall.
inline double processor_seconds() {
  ::timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class PlanStep {
 public:
  explicit PlanStep(const LowRankProblem& p)
      : o_{.stride = p.stride, .padding = p.padding, .dilation = p.dilation}, convolution_{p.convolution} {
    const Index k = p.kernel, channels = p.in / (k * k);
    Shape x{p.rows, p.in}, w{p.out, p.in}, a{p.rank, p.in}, y{p.rows, p.out};
    if (convolution_) {
      w = {p.out, channels, k, k};
      a = {p.rank, channels, k, k};
      y = loru::conv_shape({1, channels, p.height, p.width}, w, o_);
      const Index images = p.rows / (y[2] * y[3]);
      x = {images, channels, p.height, p.width};
      y = {images, p.out, y[2], y[3]};
    }
    x_ = Variable<float>(normal(x, 0), p.input_gradient);
    w_ = Variable<float>(normal(w, 1));
    a_ = Variable<float>(normal(a, 2), true);
    b_ = Variable<float>(normal({p.out, p.rank}, 3), true);
    dy_ = normal(y, 4);
  }

  void run(Plan plan) {
    const auto y = convolution_ ? loru::lowrank_conv2d(x_, w_, a_, b_, 1.0, o_, plan)
                                : loru::lowrank_linear(x_, w_, a_, b_, 1.0, plan);
    y.backward(dy_);
    for (auto* v : {&x_, &a_, &b_}) v->clear_gradient();
  }

  /// Processor seconds of `count` runs, each.
  double time(Plan plan, Index count) {
    const double begin = processor_seconds();
    for (Index i = 0; i < count; ++i) run(plan);
    return (processor_seconds() - begin) / static_cast<double>(count);
  }

 private:
  loru::ConvOptions o_;
  bool convolution_;
  Variable<float> x_, w_, a_, b_;
  Tensor<float> dy_;
};

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

/// Medians of the plans' seconds, measured in turn for about `budget` seconds in all, at least five times.
inline std::array<double, plans.size()> time_plans(const LowRankProblem& problem, double budget) {
  PlanStep step(problem);
  double once = 0.0;
  for (Plan plan : plans) step.run(plan), once += step.time(plan, 1);
  constexpr double shortest = 2e-3;  // seconds of one sample of all plans
  const auto count = static_cast<Index>(std::ceil(shortest / once));
  const auto turns =
      std::clamp(static_cast<Index>(budget / (once * static_cast<double>(count))), Index{5}, Index{301});
  std::array<std::vector<double>, plans.size()> seconds;
  for (Index turn = 0; turn < turns; ++turn)
    for (std::size_t i = 0; i < plans.size(); ++i) seconds[i].push_back(step.time(plans[i], count));
  std::array<double, plans.size()> medians{};
  for (std::size_t i = 0; i < plans.size(); ++i) medians[i] = median(seconds[i]);
  return medians;
}

}  // namespace loru_bench
