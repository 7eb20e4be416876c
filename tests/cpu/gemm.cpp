#include <loru/cpu/gemm/gemm.hpp>

#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using cpu::gemm;
using loru_test::gaussian;

namespace {

struct Problem {
  Index m, n, k;
};

/// Row-major memory for a (rows, cols) matrix with three unused elements after each row.
template <class T>
struct Padded {
  Index rows, cols, stride = cols + 3;
  Tensor<T> memory;
  Padded(Index r, Index c, std::uint64_t seed) : rows{r}, cols{c}, memory{gaussian<T>({r, c + 3}, seed)} {}
  T at(Index i, Index j) const { return memory.data()[i * stride + j]; }
  operator cpu::View<const T>() const { return {memory.data(), stride}; }
  operator cpu::View<T>() { return {memory.data(), stride}; }
};

template <class T>
Padded<T> operand(Op op, Index rows, Index cols, std::uint64_t seed) {
  return op == Op::none ? Padded<T>(rows, cols, seed) : Padded<T>(cols, rows, seed);
}

/// Largest |c − (alpha·op(a)·op(b) + beta·c0)| in units of what k roundings may do.
template <class T>
double error(Op op_a, Op op_b, const Problem& p, T alpha, T beta) {
  const Padded<T> a = operand<T>(op_a, p.m, p.k, 1), b = operand<T>(op_b, p.k, p.n, 2);
  Padded<T> c(p.m, p.n, 3);
  const Tensor<T> before = clone(c.memory);
  gemm<T>(op_a, op_b, p.m, p.n, p.k, alpha, a, b, beta, c);
  double worst = 0.0;
  for (Index i = 0; i < p.m; ++i) {
    for (Index j = 0; j < p.n; ++j) {
      double sum = 0.0;
      for (Index q = 0; q < p.k; ++q)
        sum += static_cast<double>(op_a == Op::none ? a.at(i, q) : a.at(q, i)) *
               static_cast<double>(op_b == Op::none ? b.at(q, j) : b.at(j, q));
      const double expected =
          static_cast<double>(alpha) * sum +
          static_cast<double>(beta) * static_cast<double>(before.data()[i * c.stride + j]);
      worst = std::max(worst, std::abs(static_cast<double>(c.at(i, j)) - expected));
    }
    for (Index j = p.n; j < c.stride; ++j)  // what lies between the rows is not touched
      if (c.at(i, j) != before.data()[i * c.stride + j]) return std::numeric_limits<double>::infinity();
  }
  return worst /
         (4.0 * static_cast<double>(p.k + 4) * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

}  // namespace

TEMPLATE_TEST_CASE("gemm: equals the sum of products in all four orientations", "", float, double) {
  const Problem p = GENERATE(Problem{1, 1, 1}, Problem{3, 7, 2}, Problem{17, 33, 65}, Problem{1, 130, 70},
                             Problem{130, 1, 70}, Problem{64, 129, 401}, Problem{65, 16, 385},
                             Problem{8, 400, 31}, Problem{1029, 19, 11}, Problem{5, 4, 1000},
                             Problem{66, 600, 390}, Problem{0, 3, 2}, Problem{3, 0, 2}, Problem{4, 5, 0});
  CAPTURE(p.m, p.n, p.k);
  for (Op a : {Op::none, Op::transpose})
    for (Op b : {Op::none, Op::transpose}) {
      CAPTURE(static_cast<int>(a), static_cast<int>(b));
      CHECK(error<TestType>(a, b, p, TestType(1), TestType(0)) < 1.0);
      CHECK(error<TestType>(a, b, p, TestType(-0.5), TestType(1)) < 1.0);
      CHECK(error<TestType>(a, b, p, TestType(2), TestType(0.25)) < 1.0);
    }
}

TEST_CASE("gemm: beta = 0 does not read the result") {
  for (Index k : {0, 3}) {
    Tensor<float> c({2, 2});
    fill(c, std::numeric_limits<float>::quiet_NaN());
    const Tensor<float> a = gaussian<float>({2, 3});
    gemm<float>(Op::none, Op::transpose, 2, 2, k, 1.0f, {a.data(), 3}, {a.data(), 3}, 0.0f, {c.data(), 2});
    for (float x : c.span()) CHECK(std::isfinite(x));
  }
}

TEST_CASE("gemm: one bit pattern for any number of threads, any neighbours and either orientation") {
  const Index m = 1100, n = 70, k = 450;
  const Tensor<float> a = gaussian<float>({m, k}, 1), b = gaussian<float>({k, n}, 2);
  Tensor<float> serial({m, n});
  gemm<float>(Op::none, Op::none, m, n, k, 1.0f, {a.data(), k}, {b.data(), n}, 0.0f, {serial.data(), n});

  SECTION("threads") {
    WorkerPool pool(GENERATE(2, 3));
    const ParallelScope scope(pool);
    Tensor<float> c({m, n});
    gemm<float>(Op::none, Op::none, m, n, k, 1.0f, {a.data(), k}, {b.data(), n}, 0.0f, {c.data(), n});
    CHECK(loru_test::same_bits(c, serial));
  }
  SECTION("a few rows alone") {
    for (const auto& [first, rows] : {std::pair<Index, Index>{0, 1}, {13, 40}, {1000, 100}}) {
      Tensor<float> c({rows, n});
      gemm<float>(Op::none, Op::none, rows, n, k, 1.0f, {a.data() + first * k, k}, {b.data(), n}, 0.0f,
                  {c.data(), n});
      CHECK(std::memcmp(c.data(), serial.data() + first * n,
                        static_cast<std::size_t>(rows * n) * sizeof(float)) == 0);
    }
  }
  SECTION("transposed: Cᵀ = Bᵀ·Aᵀ") {
    Tensor<float> c({n, m});
    gemm<float>(Op::transpose, Op::transpose, n, m, k, 1.0f, {b.data(), n}, {a.data(), k}, 0.0f,
                {c.data(), m});
    bool same = true;
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < n; ++j) same = same && c.data()[j * m + i] == serial.data()[i * n + j];
    CHECK(same);
  }
}
