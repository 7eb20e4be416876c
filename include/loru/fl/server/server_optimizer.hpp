#pragma once
// Server optimizers: the step from the averaged update to the new state.

#include <cmath>
#include <string>

#include <loru/core/fields.hpp>
#include <loru/fl/message/state.hpp>

namespace loru::inline LORU_ISA::fl {

enum class ServerRule : unsigned char { fedavg, fedavgm, fedadagrad, fedadam, fedyogi };

/// With Δ = mean − x, for every number of the trained parameters:
///   fedavg       x ← x + η·Δ
///   fedavgm      m ← β1·m + Δ, x ← x + η·m
///   the others   m ← β1·m + (1 − β1)·Δ, x ← x + η·m / (√v + ε), where v begins at ε² and
///     fedadagrad v ← v + Δ²
///     fedadam    v ← β2·v + (1 − β2)·Δ²
///     fedyogi    v ← v − (1 − β2)·Δ²·sign(v − Δ²)
/// Sources: Hsu et al., arXiv 1909.06335, section 4 (fedavgm); Reddi et al., arXiv 2003.00295, Algorithm 2.
struct ServerOptimizer {
  ServerRule rule = ServerRule::fedavg;
  double learning_rate = 1.0, beta1 = 0.9, beta2 = 0.99, epsilon = 1e-3;

  /// Whether the mean is taken as it is.
  bool plain() const { return rule == ServerRule::fedavg && learning_rate == 1.0; }
  bool adaptive() const { return rule != ServerRule::fedavg && rule != ServerRule::fedavgm; }

  /// η times the direction for one Δ; moves m and v.
  double step(double change, double& m, double& v) const {
    if (rule == ServerRule::fedavg) return learning_rate * change;
    if (rule == ServerRule::fedavgm) return learning_rate * (m = beta1 * m + change);
    const double square = change * change;
    m = beta1 * m + (1.0 - beta1) * change;
    if (rule == ServerRule::fedadagrad) v += square;
    if (rule == ServerRule::fedadam) v = beta2 * v + (1.0 - beta2) * square;
    if (rule == ServerRule::fedyogi && v != square) v += (1.0 - beta2) * (v < square ? square : -square);
    return learning_rate * m / (std::sqrt(v) + epsilon);
  }

  static constexpr auto fields() {
    using S = ServerOptimizer;
    return Fields{
        field("optimizer", &S::rule,
              words<ServerRule>({{"fedavg", ServerRule::fedavg},
                                 {"fedavgm", ServerRule::fedavgm},
                                 {"fedadagrad", ServerRule::fedadagrad},
                                 {"fedadam", ServerRule::fedadam},
                                 {"fedyogi", ServerRule::fedyogi}}),
              "what becomes of the averaged update"),
        field("learning_rate", &S::learning_rate, range::positive,
              "of it; the adaptive ones want a far smaller rate, such as 0.01"),
        field("beta1", &S::beta1, range::below_one,
              "of all but fedavg: share of the first moment that is kept"),
        field("beta2", &S::beta2, range::below_one, "of fedadam and fedyogi: the same of the second moment"),
        field("epsilon", &S::epsilon, range::positive,
              "of the adaptive ones: added to the root of the second moment")};
  }
};

/// Throws ConfigError for an option outside its range.
inline void check(const ServerOptimizer& o) { check_fields(o, "server"); }

namespace detail {

inline constexpr const char *first_moment = "server.m.", *second_moment = "server.v.";

inline Tensor<double> moment(const io::Archive& memory, const std::string& key, const Shape& shape,
                             double start) {
  if (memory.contains(key)) return memory.get<double>(key, shape);
  Tensor<double> fresh(shape);
  for (double& x : fresh.span()) x = start;
  return fresh;
}

}  // namespace detail

/// The value that the optimizer moves x to, given its mean; both on the host and of one layout. `memory` is
/// the server's memory with the former moments; the new ones are added to `moments` under the same names.
/// Throws DivergedError if a value is not finite.
template <class T>
Tensor<T> optimize(const ServerOptimizer& o, const std::string& name, const Tensor<T>& x, Tensor<T> mean,
                   const io::Archive& memory, io::Archive& moments) {
  const std::string first = detail::first_moment + name, second = detail::second_moment + name;
  Tensor<double> m = detail::moment(memory, first, x.shape(), 0.0);
  Tensor<double> v = detail::moment(memory, second, x.shape(), o.epsilon * o.epsilon);
  for (Index i = 0; i < x.size(); ++i) {
    const double from = static_cast<double>(x.data()[i]);
    const double change = static_cast<double>(mean.data()[i]) - from;
    mean.data()[i] = static_cast<T>(from + o.step(change, m.data()[i], v.data()[i]));
  }
  require<DivergedError>(all_finite(mean), "server: ", name, " is not finite after the optimizer's step");
  if (o.rule != ServerRule::fedavg) moments.share(first, m);
  if (o.adaptive()) moments.share(second, v);
  return mean;
}

/// Replaces the means of trained parameters by the values that the optimizer moves the model's state to;
/// running statistics and all else keep their means. Throws DivergedError if a value is not finite; the mean
/// may then be half changed.
template <class T, class D>
void optimize(const ServerOptimizer& o, nn::Model<T, D>& model, io::Archive& mean, const io::Archive& memory,
              io::Archive& moments) {
  for (const auto& p : model.trained_parameters()) {
    if (!mean.contains(p.name)) continue;
    const Tensor<T> x = to_layout(to_host(p.value.value()), Layout::row_major);
    mean.share(p.name, optimize(o, p.name, x, mean.get<T>(p.name, x.shape()), memory, moments));
  }
}

/// Lets the moments of a model's factors start anew, as the factors have.
template <class T, class D>
void forget_factors(nn::Model<T, D>& model, io::Archive& memory) {
  for (const auto& p : model.parameters()) {
    if (!nn::is_factor(p.role)) continue;
    memory.erase(detail::first_moment + p.name);
    memory.erase(detail::second_moment + p.name);
  }
}

}  // namespace loru::inline LORU_ISA::fl
