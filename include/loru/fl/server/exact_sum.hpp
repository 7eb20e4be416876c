#pragma once
// Weighted sums without rounding, which therefore do not depend on the order.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::fl {

namespace fixed {

/// Units of the three limbs of a number with 80 bits below the point.
inline constexpr double high = 0x1p-6, middle = 0x1p-43, low = 0x1p-80;
/// Bits of a limb that is below another.
inline constexpr int bits = 37;

/// v as a multiple of 2⁻⁸⁰, to nearest: itself from 2⁻²⁸ on, and a float from 2⁻⁵⁷ on.
inline double rounded(double v) {
  constexpr double unit = 0x1p-28;  // of which the last bit is 2⁻⁸⁰
  const double size = std::abs(v);
  return size < unit ? std::copysign((size + unit) - unit, v) : v;
}

/// Takes from t its nearest multiple of `unit`, and returns how many of them it is. |t| < 2⁵¹·unit.
inline std::int64_t take(double& t, double unit) {
  const double shift = 0x1.8p52 * unit;  // the last bit of what lies beside it is one unit
  const double sum = t + shift;
  t -= sum - shift;
  return std::bit_cast<std::int64_t>(sum) - std::bit_cast<std::int64_t>(shift);
}

/// a + b = s + e without rounding (Knuth).
inline double two_sum(double a, double b, double& e) {
  const double s = a + b, b_part = s - a;
  e += (a - (s - b_part)) + (b - b_part);
  return s;
}

}  // namespace fixed

/// Σ n_k·x_k for each of `size` numbers, exactly: a float times a count below 2²⁹ is a multiple of 2⁻⁸⁰ of at
/// most 53 bits. The bits of the sums depend on what was added, not on its order, nor on how partial sums
/// were joined. A float below 2⁻⁵⁷, a double below 2⁻²⁸ is first rounded to a multiple of 2⁻⁸⁰ by its value
/// alone. |n·x| stays below 2⁴⁵, Σ |n·x| below 2⁵⁶ and the number of terms at most most_terms, of which each
/// adds up to 2³⁶ units to a lower limb; the caller sees to that.
template <class T>
class ExactSums {
 public:
  static constexpr Index most_count = (Index{1} << 29) - 1;
  static constexpr double most_term = 0x1p45, most_sum = 0x1p56;
  /// A double is added as three floats, whose products with counts have at most 53 bits.
  static constexpr int parts = std::is_same_v<T, float> ? 1 : 3;
  static constexpr Index most_terms = ((Index{1} << (64 - fixed::bits)) - 1) / parts;

  explicit ExactSums(Index size = 0)
      : high_(static_cast<std::size_t>(size)), middle_(high_.size()), low_(high_.size()) {}

  Index size() const { return std::ssize(high_); }

  /// Adds n·x to `count` sums from `first` on. x need not be aligned.
  void add(Index n, const std::byte* x, Index first, Index count) {
    const auto weight = static_cast<double>(n);
    std::int64_t *h = high_.data() + first, *m = middle_.data() + first, *l = low_.data() + first;
    for (Index i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, x + i * static_cast<Index>(sizeof value), sizeof value);
      double v = fixed::rounded(static_cast<double>(value));
      for (int part = 0; part < parts; ++part) {
        const double leading = parts == 1 ? v : static_cast<double>(static_cast<float>(v));
        v -= leading;
        double t = weight * leading;
        h[i] += fixed::take(t, fixed::high);
        m[i] += fixed::take(t, fixed::middle);
        l[i] += fixed::take(t, fixed::low);
      }
    }
  }

  /// Adds other sums of as many numbers.
  void add(const ExactSums& other) {
    for (std::size_t i = 0; i < high_.size(); ++i) {
      high_[i] += other.high_[i];
      middle_[i] += other.middle_[i];
      low_[i] += other.low_[i];
    }
  }

  /// y = sum / n: exact where the quotient is a T, otherwise rounded to double and then to T.
  void divide(double n, T* y) const {
    for (std::size_t i = 0; i < high_.size(); ++i) y[i] = quotient(i, n);
  }

 private:
  T quotient(std::size_t i, double n) const {
    constexpr std::int64_t mask = (std::int64_t{1} << fixed::bits) - 1;
    const std::int64_t m = middle_[i] + (low_[i] >> fixed::bits), h = high_[i] + (m >> fixed::bits);
    const auto leading = static_cast<double>(h);
    double error = static_cast<double>(h - static_cast<std::int64_t>(leading)) * fixed::high;
    double sum = fixed::two_sum(leading * fixed::high, static_cast<double>(m & mask) * fixed::middle, error);
    sum = fixed::two_sum(sum, static_cast<double>(low_[i] & mask) * fixed::low, error);
    const double q = sum / n;
    return static_cast<T>(q + (std::fma(-q, n, sum) + error) / n);
  }

  std::vector<std::int64_t> high_, middle_, low_;
};

}  // namespace loru::inline LORU_ISA::fl
