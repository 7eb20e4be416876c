// A line through noisy points: write the loss down, ask for its gradient, walk downhill. The slope and the
// intercept found must be those of the closed formula.

#include <cmath>
#include <cstdio>
#include <loru/autograd/autograd.hpp>
#include <loru/optim/sgd.hpp>

using namespace loru;

int main() {
  // y = 3x - 2 + noise
  const Index n = 200;
  Tensor<double> x({n, 1}), y({n, 1});
  rng::Stream random(1);
  for (Index i = 0; i < n; ++i) {
    x.data()[i] = random.uniform(-1.0, 1.0);
    y.data()[i] = 3.0 * x.data()[i] - 2.0 + 0.1 * random.normal();
  }

  // Two parameters: variables that require a gradient.
  Variable<double> slope(Tensor<double>({1, 1}, {0.0}), true), intercept(Tensor<double>({1}, {0.0}), true);
  const auto loss = [&] {
    return mean_squared_error(add_bias(linear(Variable<double>(x), slope), intercept), y);
  };

  optim::Sgd<double> sgd({slope, intercept}, {.momentum = 0.9});
  for (int step = 0; step < 600; ++step) {
    sgd.clear_gradients();
    loss().backward();  // accumulates dloss/dslope and dloss/dintercept, then frees the graph
    sgd.step(0.1);
  }

  // What the normal equations say.
  double sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0;
  for (Index i = 0; i < n; ++i) {
    const double a = x.data()[i], b = y.data()[i];
    sx += a;
    sy += b;
    sxx += a * a;
    sxy += a * b;
  }
  const double count = static_cast<double>(n);
  const double exact_slope = (count * sxy - sx * sy) / (count * sxx - sx * sx);
  const double exact_intercept = (sy - exact_slope * sx) / count;
  const double found_slope = slope.value().data()[0], found_intercept = intercept.value().data()[0];

  std::printf("found   y = %.6f x %+.6f, loss %.6f\n", found_slope, found_intercept, item(loss()));
  std::printf("closed  y = %.6f x %+.6f\n", exact_slope, exact_intercept);
  const double error = std::abs(found_slope - exact_slope) + std::abs(found_intercept - exact_intercept);
  std::printf("difference %.1e\n", error);
  return error < 1e-9 ? 0 : 1;
}
