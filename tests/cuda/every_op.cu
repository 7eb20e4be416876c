// Every op of the CUDA device in device code. Compiling is the test; nothing here runs.
#include <loru/cuda/cuda.cuh>

namespace seam {

using loru::Index, loru::Layout, loru::Tensor;
using loru::cuda::Array, loru::cuda::Labels;

template <class T>
void elements(Array<T>& x, Array<T>& y, const Labels& l, Tensor<T>& host) {
  fill(y, T(1));
  copy_into(y, clone(x));
  y = add(multiply(x, y), scale(to_layout(x, Layout::channels_last), T(2)));
  add_scaled(y, T(3), x);
  y = relu_backward(relu(x), add_relu(x, y));
  y = dropout(gelu_backward(x, gelu(y)), 0.5, loru::rng::Stream(1));
  copy_from_host(x, host);
  copy_to_host(host, x);
  gather_images(x, Array<std::uint8_t>(), l, l, Array<double>());
  gather_images(x, Array<float>(), l, l, Array<double>());
  sgd_update(x, y, y, loru::SgdStep{});
  adam_update(x, y, y, y, loru::AdamStep{});
  const std::vector<loru::ParameterUpdate<T, loru::cuda::Cuda>> all{{&x, &y, &y, &y, 1}};
  sgd_update_all(all, loru::SgdStep{});
  adam_update_all(all, loru::AdamStep{});
}

template <class T>
double matrices(Array<T>& x, Array<T>& y, Labels& l) {
  gather_labels(l, l, l);
  y = matmul(column_sum(x), sum(x), {});
  matmul_into(y, T(1), x, x, {}, T(0));
  add_bias(y, x);
  add_bias_relu(y, x);
  y = add_bias_relu_backward(x, y).dx;
  lowrank_merge(y, x, x, 1.0);
  y = lowrank_compose(y, x, x, 1.0);
  const auto f = lowrank_forward(x, y, x, x, 1.0);
  y = lowrank_backward(f.y, x, y, x, x, f.low, 1.0, {}).dx;
  const auto loss = cross_entropy(x, l);
  y = cross_entropy_backward(loss.loss, loss.kept, l);
  const auto error = mean_squared_error(x, y);
  y = mean_squared_error_backward(error.loss, error.kept);
  return squared_norm(y) + static_cast<double>(count_correct(x, l)) + (all_finite(y) ? 0.0 : 1.0);
}

template <class T>
void images(const Array<T>& x, Array<T>& y) {
  y = conv2d(x, y, {});
  y = add(conv2d_backward_input(y, x, x.shape(), {}), conv2d_backward_weight(y, x, x.shape(), {}));
  const auto pooled = max_pool2d(y, {});
  y = max_pool2d_backward(pooled.output, pooled.winners, x.shape());
  y = adaptive_avg_pool2d_backward(adaptive_avg_pool2d(y, 1, 1), x.shape());
  auto m = batch_moments(x, 1e-5);
  m = fixed_moments(m.mean, m.variance, 1e-5);
  y = batch_norm_relu(batch_norm(x, m, y, y), m, y, y, y);
  y = batch_norm_relu_backward(batch_norm_backward(y, x, m, y, true).dx, y, x, m, y, y, true).dx;
  m = group_moments(x, 1, 1e-5);
  y = group_norm_relu(group_norm(x, m, y, y), m, y, y, y);
  y = group_norm_relu_backward(group_norm_backward(y, x, m, y).dx, y, x, m, y, y).dx;
}

template void elements(Array<float>&, Array<float>&, const Labels&, Tensor<float>&);
template double matrices(Array<float>&, Array<float>&, Labels&);
template void images(const Array<float>&, Array<float>&);

}  // namespace seam
