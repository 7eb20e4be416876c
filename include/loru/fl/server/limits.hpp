#pragma once
// What a server takes from a client.

#include <algorithm>
#include <cmath>
#include <cstring>

#include <loru/core/fields.hpp>
#include <loru/cpu/reduce.hpp>
#include <loru/fl/message/uplink.hpp>

namespace loru::inline LORU_ISA::fl {

struct UpdateLimits {
  double max_loss = 1e6;
  double max_norm = 1e4;

  static constexpr auto fields() {
    using L = UpdateLimits;
    return Fields{
        field("max_loss", &L::max_loss, range::positive,
              "the largest loss, in absolute value, that a client may report"),
        field("max_norm", &L::max_norm, range::positive,
              "the most by which a client may change a tensor: this times max(1, its Euclidean norm)")};
  }
};

namespace detail {

/// Number i of a tensor's bytes, which need not be aligned.
template <class T>
double number_at(const io::RawTensor& x, Index i) {
  T value;
  std::memcpy(&value, x.bytes.data() + i * static_cast<Index>(sizeof value), sizeof value);
  return static_cast<double>(value);
}

/// ‖x − y‖ and ‖y‖ in double; y = 0 where there is none.
template <class T>
std::pair<double, double> change_and_norm(const io::RawTensor& x, const io::RawTensor* y) {
  const Index n = x.shape.size();
  const auto norm_of = [&](auto value) { return std::sqrt(cpu::squares(n, value)); };
  if (!y) return {norm_of([&](Index i) { return number_at<T>(x, i); }), 0.0};
  return {norm_of([&](Index i) { return number_at<T>(x, i) - number_at<T>(*y, i); }),
          norm_of([&](Index i) { return number_at<T>(*y, i); })};
}

}  // namespace detail

/// Throws DivergedError for a loss above max_loss in absolute value, and for a tensor x_k with ‖x_k − x‖ >
/// max_norm·max(1, ‖x‖), x being what the client received; of a tensor that it did not receive in that shape,
/// ‖x_k‖ > max_norm. What is not finite is Average's to refuse.
template <class T>
void check_limits(const Update& update, const io::Archive& received, const UpdateLimits& limits) {
  const auto refuse = [&](const std::string& what, double most, double got) {
    fail<DivergedError>("round ", update.head.round, ", client ", update.head.client, ": ", what,
                        ": expected at most ", most, ", got ", got);
  };
  if (std::abs(update.loss) > limits.max_loss) refuse("|loss|", limits.max_loss, std::abs(update.loss));
  for (const auto& [name, raw] : update.state.tensors()) {
    const io::RawTensor* base = detail::same_tensor<T>(received, name, raw.shape);
    const auto [change, norm] = detail::change_and_norm<T>(raw, base);
    const double most = limits.max_norm * std::max(1.0, norm);
    if (change > most && std::isfinite(change))
      refuse(concat(name, base ? ": change" : ": norm"), most, change);
  }
}

}  // namespace loru::inline LORU_ISA::fl
