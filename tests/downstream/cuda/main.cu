// A sum on the device; without one, what the library says. It prints 6, or what is missing and 0.
#include <cstdio>

#include <loru/cuda/ops/reduce.cuh>

int main() try {
  const loru::Tensor<float> host({3}, {1, 2, 3});
  loru::cuda::Array<float> x(host.shape());
  copy_from_host(x, host);
  loru::Tensor<float> total(loru::Shape{});
  copy_to_host(total, sum(x));
  std::printf("%.0f\n", static_cast<double>(total.data()[0]));
} catch (const loru::cuda::NoDevice& error) {
  std::printf("%s: 0\n", error.what());
}
