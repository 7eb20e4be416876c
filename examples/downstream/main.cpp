// A user's program: y = x·(W + s·B·A)ᵀ on one row, by hand, on loru's tensors. It prints 22.
#include <cstdio>

#include <loru/core/core.hpp>
#include <loru/version.hpp>

int main() {
  const loru::Tensor<float> w({2, 2}, {1, 2, 3, 4}), x({1, 2}, {1, 1});
  const loru::Tensor<float> a({1, 2}, {1, 2}), b({2, 1}, {3, 5});
  const float s = 0.5f;

  float sum = 0;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j)
      sum += x.span()[static_cast<std::size_t>(j)] *
             (w.span()[static_cast<std::size_t>(2 * i + j)] +
              s * b.span()[static_cast<std::size_t>(i)] * a.span()[static_cast<std::size_t>(j)]);
  std::printf("loru %s: sum of y = %.0f\n", loru::version, static_cast<double>(sum));
}
