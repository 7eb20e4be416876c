#pragma once
// The backward kernels against sums in double, for any way of multiplying.
#include <vector>

#include <loru/cuda/kernels/compiled.cuh>
#include "cuda/support/comparison.hpp"
#include "cuda/support/guarded.hpp"
#include "cuda/support/test_queue.hpp"
#include "support/catch.hpp"

namespace loru_test {

namespace cuda = loru::cuda;

struct BackwardShape {
  int M, m, n, r, pad = 0, offset = 0;
};

/// What an operand becomes before it is multiplied.
template <class Math>
double operand(double v) {
  return std::is_same_v<Math, cuda::InTf32> ? as_tf32(v) : v;
}
/// What a result becomes when it is stored as an element, and how far that may move it.
template <class Math>
double stored(double v) {
  return sizeof(typename Math::Element) == 2 ? as_bf16(v) : static_cast<float>(v);
}
template <class Math>
inline constexpr double stored_unit = sizeof(typename Math::Element) == 2 ? bf16_unit : float_unit;

/// One layer's matrices, filled, and its gradients, NaN.
template <class Math>
struct BackwardProblem {
  using T = typename Math::Element;
  Guarded<T> dy, x, W, A, B, S, dx, dS;
  Guarded<float> dA, dB;
  TestQueue queue{few_multiprocessors};
  DeviceMemory<float> workspace;
  float s;
  bool exact;

  BackwardProblem(const BackwardShape& q, Fill kind)
      : dy(q.M, q.m, q.pad, q.offset),
        x(q.M, q.n, q.pad, q.offset),
        W(q.m, q.n, q.pad, q.offset),
        A(q.r, q.n, q.pad, q.offset),
        B(q.m, q.r, q.pad, q.offset),
        S(q.M, q.r, q.pad, q.offset),
        dx(q.M, q.n, q.pad, q.offset),
        dS(q.M, q.r, q.pad, q.offset),
        dA(q.r, q.n, q.pad),
        dB(q.m, q.r, q.pad),
        workspace(std::vector<float>(static_cast<std::size_t>(cuda::backward_workspace(
                                         q.M, q.m, q.r, sizeof(T) == 2, few_multiprocessors)),
                                     NAN)),
        s(kind == Fill::integers ? 0.5F : 0.3F),
        exact(kind == Fill::integers) {
    std::mt19937 random(static_cast<unsigned>(q.M * 31 + q.m * 7 + q.n));
    for (auto* t : {&dy, &x, &W, &A, &B, &S}) t->fill(kind, random, 2);
  }

  cuda::Client<T> client() const { return {A.read(), B.read(), s}; }
  cuda::Backward<T> arguments() {
    return {dy.read(), x.read(), W.read(), client(), S.read(), dx.view(), dS.view(), dA.view(), dB.view()};
  }

  /// got, a stored result, against the sum of terms(k), k < count.
  template <class Terms>
  void see(Comparison& seen, double got, int count, double scale, double unit, const Terms& terms,
           const char* what, int i, int j) const {
    Sum sum;
    for (int k = 0; k < count; ++k) sum.add(terms(k));
    const double value = scale * sum.value;
    if (exact)
      seen.see(got, unit == float_unit ? static_cast<float>(value) : as_bf16(value), 0, what, i, j);
    else
      seen.see(got, value, unit * std::abs(value) + std::abs(scale) * sum_bound(sum, count + 1), what, i, j);
  }

  /// Every gradient from the operands that its kernel had: dx and dA from the dS that was stored.
  void compare(Comparison& seen) const {
    compare_factors(seen);
    const int m = dy.cols(), r = A.rows();
    const auto of = [](const auto& t, int i, int j) { return operand<Math>(t.value(i, j)); };
    for (int i = 0; i < dy.rows(); ++i)
      for (int j = 0; j < x.cols(); ++j)
        see(
            seen, dx.value(i, j), m + r, 1, stored_unit<Math>,
            [&](int k) { return k < m ? of(dy, i, k) * of(W, k, j) : of(dS, i, k - m) * of(A, k - m, j); },
            "dx", i, j);
  }

  void compare_factors(Comparison& seen) const {
    const int M = dy.rows(), m = dy.cols(), n = x.cols(), r = A.rows();
    const auto of = [](const auto& t, int i, int j) { return operand<Math>(t.value(i, j)); };
    for (int i = 0; i < M; ++i)
      for (int q = 0; q < r; ++q)
        see(
            seen, dS.value(i, q), m, s, stored_unit<Math>, [&](int k) { return of(dy, i, k) * of(B, k, q); },
            "dS", i, q);
    for (int q = 0; q < r; ++q) {
      for (int k = 0; k < m; ++k)
        see(
            seen, dB.value(k, q), M, 1, float_unit, [&](int i) { return of(dy, i, k) * of(S, i, q); }, "dB",
            k, q);
      for (int j = 0; j < n; ++j)
        see(
            seen, dA.value(q, j), M, 1, float_unit, [&](int i) { return of(dS, i, q) * of(x, i, j); }, "dA",
            q, j);
    }
  }

  /// Only the bits, for orders of threads other than the first.
  void note(Comparison& seen) const {
    const auto all = [&](const auto& t) {
      for (int i = 0; i < t.rows(); ++i)
        for (int j = 0; j < t.cols(); ++j) seen.see(t.value(i, j), t.value(i, j), 0, "", i, j);
    };
    all(dS), all(dx), all(dA), all(dB);
  }
};

/// run(problem) writes all gradients.
template <class Math, class Run>
void check_backward(const std::vector<BackwardShape>& shapes, const Run& run) {
  for (const auto& q : shapes)
    for (const Fill kind : all_fills) {
      INFO("M " << q.M << ", m " << q.m << ", n " << q.n << ", r " << q.r << ", pad " << q.pad << ", offset "
                << q.offset << (kind == Fill::integers ? ", integers" : ", random"));
      compare_in_every_order([&](Comparison& seen) {
        BackwardProblem<Math> problem(q, kind);
        run(problem);
        if (loru::emulator::options.order == loru::emulator::Order::forward) {
          Comparison with_sums;
          problem.compare(with_sums);
          INFO(with_sums.where());
          CHECK(with_sums.worst() <= 1);
        }
        problem.note(seen);
        seen.intact(problem.dy, problem.x, problem.W, problem.A, problem.B, problem.S, problem.dx,
                    problem.dS);
        seen.intact(problem.dA, problem.dB);
        CHECK(problem.queue.at_rest());
      });
    }
}

/// K loops of 1, 2, 3 and more tiles, of k in m and 2k in M; grids of one block and more each way.
template <class Math>
void check_one_pass() {
  constexpr int k = 64 / sizeof(typename Math::Element);
  check_backward<Math>({{1, 1, 1, 1},
                        {128, 3 * k, 64, 16},
                        {7, 5, 3, 1},
                        {130, 2 * k, 33, 3},
                        {64, k / 2, 136, 20, 8},
                        {129, 5 * k + 8, 132, 33, 8},
                        {40, k - 1, 72, 64, 0, 1},
                        {31, k + 16, 50, 20, 3},
                        {520, 20, 16, 8},
                        {40, 130, 129, 20}},
                       [](auto& p) {
                         cuda::lora_backward<Math>(p.arguments(), cuda::BackwardForm::one_pass,
                                                   p.workspace.data(), p.queue);
                       });
}

/// Steps of 64 rows: 1, 2, 3 and more; one and several groups of columns, blocks of rows, tiles of ranks.
template <class Math>
void check_split(cuda::BackwardForm form) {
  constexpr int k = 64 / sizeof(typename Math::Element);
  check_backward<Math>({{1, 1, 1, 1},
                        {64, 128, 32, 16},
                        {130, 129, 40, 3},
                        {192, 132, 24, 33, 8},
                        {520, 20, 16, 8},
                        {70, k == 32 ? 264 : 136, 8, 40},
                        {70, 40, 16, 100},
                        {24, 600, 72, 5},
                        {700, 24, 200, 9},
                        {65, 8, 48, 3, 0, 1},
                        {128, 31, 50, 20, 3}},
                       [form](auto& p) {
                         const auto fits = cuda::fitting_form<Math>(form, p.A.rows(), most_block_memory());
                         cuda::lora_backward<Math>(p.arguments(), fits, p.workspace.data(), p.queue);
                       });
}

}  // namespace loru_test
