#pragma once
// Ops of the device of support/other_device.hpp in device code, and what the library's headers make of them.
// Compiling is the test; nothing here runs. The including file has brought in loru and the device, in either
// order.

namespace other {

namespace kernels {

template <class T>
__global__ void relu(const T* x, T* y, Index n) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i] > T(0) ? x[i] : T(0);
}

template <class T>
__global__ void relu_backward(const T* y, const T* dy, T* dx, Index n) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) dx[i] = y[i] > T(0) ? dy[i] : T(0);
}

inline unsigned blocks(Index n) { return static_cast<unsigned>((n + 255) / 256); }

}  // namespace kernels

template <class T>
Array<T> relu(const Array<T>& x) {
  Array<T> y(x.shape(), x.layout());
  kernels::relu<<<kernels::blocks(x.size()), 256>>>(x.data(), y.data(), x.size());
  return y;
}

template <class T>
Array<T> relu_backward(const Array<T>& y, Array<T> dy) {
  Array<T> dx(y.shape(), y.layout());
  kernels::relu_backward<<<kernels::blocks(y.size()), 256>>>(y.data(), std::as_const(dy).data(), dx.data(),
                                                             y.size());
  return dx;
}

}  // namespace other

namespace seam {

/// One training step of a dense and of a factored weight, on any device.
template <class T, class D>
double step(const loru::Tensor<T, D>& images, const loru::Tensor<std::int32_t, D>& labels,
            const loru::nn::Weight<T, D>& conv, const loru::nn::Factored<T, D>& fc) {
  loru::nn::Pass pass = loru::nn::Pass::train();
  loru::nn::Sequential<T, D> body;
  body.add("relu", loru::nn::ReLU<T, D>()).add("pool", loru::nn::MaxPool2d<T, D>());
  body.add("flatten", loru::nn::Flatten<T, D>()).add("dropout", loru::nn::Dropout<T, D>(0.1));
  loru::nn::Factored<T, D> factored = fc;

  const loru::Variable<T, D> x(images);
  const auto features = body.forward(conv2d(conv.form(), x, {.padding = 1}, pass), pass);
  const auto z = linear(factored.form(), features, pass);
  const auto loss = cross_entropy(z, labels);
  loss.backward();
  std::vector<loru::Variable<T, D>> parameters{factored.a(), factored.b()};
  const double norm = loru::optim::clip_gradient_norm(parameters, 1.0);
  loru::optim::Sgd<T, D>(parameters, {.momentum = 0.9}).step(0.1);
  loru::optim::Adam<T, D>(parameters).step(0.1);
  loru::lowrank::merge_factors(factored);
  return norm;
}

}  // namespace seam
