#pragma once
// Winograd's minimal filtering as constant matrices.
//
// A bilinear filter computes outputs y of taps g over a stretch d of pixels as
//   y = Y·[(G·g) ⊙ (X·d)],
// with fewer multiplications than taps times outputs; in two dimensions each matrix acts on both sides. For n
// points a_0 .. a_{n−2} and ∞, k taps and n + 1 − k outputs (Lavin and Gray, arXiv 1509.09308; Toom and Cook
// before them):
//   row i of X  coefficients of Π_{j≠i} (x − a_j); the last those of Π_j (x − a_j)
//   row i of G  powers 0 .. k − 1 of a_i, divided by Π_{j≠i} (a_i − a_j); the last 0 .. 0 1
//   column i of Y  powers 0 .. n − k of a_i; the last 0 .. 0 1

#include <array>
#include <cstddef>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::cpu::winograd {

/// A matrix that is known at compile time.
template <int R, int C>
struct Matrix {
  static constexpr int rows = R, cols = C;
  double at[R][C];

  constexpr Matrix<C, R> transposed() const {
    Matrix<C, R> t{};
    for (int i = 0; i < R; ++i)
      for (int j = 0; j < C; ++j) t.at[j][i] = at[i][j];
    return t;
  }
};

/// Π (x − a_j) without factor `left_out`, as N coefficients from power 0 on. (Loops over indices alone: g++
/// 12 refuses to compare pointers at compile time under -fsanitize=undefined.)
template <std::size_t N>
constexpr std::array<double, N + 1> product_of_roots(const std::array<double, N>& points,
                                                     std::size_t left_out) {
  std::array<double, N + 1> c{};
  c[0] = 1.0;
  for (std::size_t j = 0; j < N; ++j) {
    if (j == left_out) continue;
    for (std::size_t power = N; power > 0; --power) c[power] = c[power - 1] - points[j] * c[power];
    c[0] *= -points[j];
  }
  return c;
}

/// X for the finite points and ∞.
template <std::size_t N>
constexpr Matrix<N + 1, N + 1> window_matrix(const std::array<double, N>& points) {
  Matrix<N + 1, N + 1> x{};
  for (std::size_t i = 0; i <= N; ++i) {
    const auto coefficients = product_of_roots(points, i);
    for (std::size_t j = 0; j <= N; ++j) x.at[i][j] = coefficients[j];
  }
  return x;
}

/// Row i: powers of a_i over a divisor, Π_{j≠i} (a_i − a_j) or 1; the last row 0 .. 0 1.
template <int C, std::size_t N>
constexpr Matrix<N + 1, C> power_matrix(const std::array<double, N>& points, bool divided) {
  Matrix<N + 1, C> v{};
  for (std::size_t i = 0; i < N; ++i) {
    double power = 1.0;
    for (std::size_t j = 0; divided && j < N; ++j)
      if (j != i) power /= points[i] - points[j];
    for (int j = 0; j < C; ++j, power *= points[i]) v.at[i][j] = power;
  }
  v.at[N][C - 1] = 1.0;
  return v;
}

}  // namespace loru::inline LORU_ISA::cpu::winograd
