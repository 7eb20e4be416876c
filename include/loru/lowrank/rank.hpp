#pragma once
// Ranks of accumulated updates.

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <loru/linalg/norms.hpp>
#include <loru/linalg/svd.hpp>
#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// now − start, both of one weight's shape, as a matrix (m, n).
template <std::floating_point T>
Tensor<double> update_matrix(const Tensor<T>& now, const Tensor<T>& start) {
  require_same_shape("update_matrix", now, start);
  const Index m = now.dim(0);
  Tensor<double> difference(Shape{m, now.size() / m});
  for (Index i = 0; i < now.size(); ++i)
    difference.data()[i] = static_cast<double>(now.data()[i]) - static_cast<double>(start.data()[i]);
  return difference;
}

/// Singular values of now − start.
template <std::floating_point T>
std::vector<double> update_spectrum(const Tensor<T>& now, const Tensor<T>& start) {
  return linalg::singular_values(update_matrix(now, start));
}

/// Number of singular values of now − start above ε · max(max(m, n) · largest, ‖now‖ + ‖start‖) with the ε of
/// float, which is what singular values from Gram matrices resolve in double too. Rounding `now` to float
/// moves it, and so each singular value, by at most ε/2 · ‖now‖ (Weyl); norms are Frobenius's.
template <std::floating_point T>
Index update_rank(const Tensor<T>& now, const Tensor<T>& start) {
  const auto norm = [](const Tensor<T>& x) {
    double sum = 0.0;
    for (const T value : x.span()) sum += static_cast<double>(value) * static_cast<double>(value);
    return std::sqrt(sum);
  };
  const std::vector<double> values = update_spectrum(now, start);
  if (values.empty()) return 0;
  const Index m = now.dim(0);
  const double larger = static_cast<double>(std::max(m, now.size() / m));
  const double threshold = static_cast<double>(std::numeric_limits<float>::epsilon()) *
                           std::max(larger * values.front(), norm(now) + norm(start));
  return std::count_if(values.begin(), values.end(), [&](double value) { return value > threshold; });
}

/// exp of the entropy of the normalised singular values: a smooth count of directions (Roy and Vetterli
/// 2007). Zero for an empty or zero spectrum.
inline double effective_rank(const std::vector<double>& values) {
  double sum = 0.0, entropy = 0.0;
  for (double v : values) sum += v;
  if (!(sum > 0.0)) return 0.0;
  for (double v : values)
    if (v > 0.0) entropy -= v / sum * std::log(v / sum);
  return std::exp(entropy);
}

/// The effective weights of a model's layers that are not dense, by layer name.
template <class T, class D>
std::map<std::string, Tensor<T, D>> effective_weights(nn::Model<T, D>& model) {
  std::map<std::string, Tensor<T, D>> weights;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    if (!weight.template as<nn::Dense<T, D>>()) weights[name] = weight.effective();
  }});
  return weights;
}

}  // namespace loru::inline LORU_ISA::lowrank
