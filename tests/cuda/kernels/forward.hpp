#pragma once
// The forward kernels' problem, its references and bounds. Math names an element type and says whether
// products are taken on tensor cores, as loru::cuda::InBf16 does.
#include <random>
#include <vector>

#include "cuda/support/comparison.hpp"

namespace loru_test {

struct ForwardShape {
  int M, m, n, r;
  int pad = 0, offset = 0;  // leading dimensions beyond the width; elements off alignment
};

/// v as `Math` takes it from memory into a product.
template <class Math>
double as_operand(double v) {
  if constexpr (Math::tensor_cores && sizeof(typename Math::Element) == 4)
    return as_tf32(v);
  else
    return v;
}
/// v as it is kept in memory.
template <class Math>
double as_element(double v) {
  return sizeof(typename Math::Element) == 2 ? as_bf16(v) : static_cast<float>(v);
}
/// Relative error of a value kept in memory, and of one that was kept and then taken as an operand.
template <class Math>
inline constexpr double element_unit = sizeof(typename Math::Element) == 2 ? bf16_unit : float_unit;
template <class Math>
inline constexpr double operand_unit = sizeof(typename Math::Element) == 2 ? bf16_unit
                                       : Math::tensor_cores                ? tf32_unit
                                                                           : float_unit;

template <class Math>
struct ForwardProblem {
  using T = typename Math::Element;
  ForwardShape q;
  Fill kind;
  bool with_bias, relu;
  float s;
  Guarded<T> x, W, A, B, bias, y, S;

  ForwardProblem(const ForwardShape& q, Fill kind)
      : q(q),
        kind(kind),
        with_bias(q.M % 2 == 1),
        relu(q.n % 3 == 0),
        s(kind == Fill::integers ? 0.5F : 0.3F),
        x(q.M, q.n, q.pad, q.offset),
        W(q.m, q.n, q.pad, q.offset),
        A(q.r, q.n, q.pad, q.offset),
        B(q.m, q.r, q.pad, q.offset),
        bias(1, q.m, 0, q.offset),
        y(q.M, q.m, q.pad, q.offset),
        S(q.M, q.r, q.pad, q.offset) {
    std::mt19937 random(static_cast<unsigned>(q.M * 31 + q.n));
    for (auto* matrix : {&x, &W, &A, &B, &bias}) matrix->fill(kind, random, sizeof(T) == 2 ? 1 : 2);
  }

  void compare(Comparison& seen) const {
    const bool exact = kind == Fill::integers;
    std::vector<Sum> low(static_cast<std::size_t>(q.r));
    for (int i = 0; i < q.M; ++i) {
      for (int k = 0; k < q.r; ++k) {
        const Sum sum = low[static_cast<std::size_t>(k)] = product(x, i, A, k);
        const double expected = s * sum.value,
                     bound = element_unit<Math> * std::abs(expected) + s * sum_bound(sum, q.n);
        seen.see(S.value(i, k), exact ? as_element<Math>(expected) : expected, exact ? 0 : bound, "S", i, k);
      }
      for (int j = 0; j < q.m; ++j) compare_y(seen, low, i, j);
    }
    seen.intact(x, W, A, B, bias, y, S);
  }

 private:
  Sum product(const Guarded<T>& left, int i, const Guarded<T>& right, int j) const {
    Sum sum;
    for (int k = 0; k < q.n; ++k)
      sum.add(as_operand<Math>(left.value(i, k)) * as_operand<Math>(right.value(j, k)));
    return sum;
  }

  /// y is rounded once at its end; in it S, as rounded and taken as an operand, and the sums' own roundings.
  void compare_y(Comparison& seen, const std::vector<Sum>& low, int i, int j) const {
    const bool exact = kind == Fill::integers;
    Sum sum = product(x, i, W, j);
    if (with_bias) sum.add(bias.value(0, j));
    double kept = 0;
    for (int k = 0; k < q.r; ++k) {
      const Sum& l = low[static_cast<std::size_t>(k)];
      const double b = as_operand<Math>(B.value(j, k)),
                   S_rounded = as_operand<Math>(as_element<Math>(s * l.value));
      sum.add((exact ? S_rounded : s * l.value) * b);
      kept += std::abs(b) * (2 * operand_unit<Math> * std::abs(s * l.value) + s * sum_bound(l, q.n));
    }
    const double value = relu ? std::max(0.0, sum.value) : sum.value;
    const double bound = element_unit<Math> * std::abs(value) + kept + sum_bound(sum, q.n + q.r + 1);
    seen.see(y.value(i, j), exact ? as_element<Math>(value) : value, exact ? 0 : bound, "y", i, j);
  }
};

}  // namespace loru_test
