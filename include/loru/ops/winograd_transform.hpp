#pragma once
// The matrices of Winograd's minimal filtering with six points, and products with them on SIMD packets.
//
// A k-tap filter g gives m = 7 − k outputs of a six-element signal d by six multiplications:
//   y = Aᵀ·[(G·g) ⊙ (Bᵀ·d)],  points 0, 1, −1, 2, −2 and ∞.
// Row i of G holds the powers of point aᵢ over Nᵢ = Π (aᵢ − aⱼ), row i of A its powers, Bᵀ does not depend on k.
// In two dimensions each matrix acts on both sides. Source: Lavin and Gray, arXiv 1509.09308, for k = 3, where the
// matrices are theirs; k = 5 follows from the same points.

#include <loru/linalg/microkernel.hpp>

namespace loru::detail::winograd {

inline constexpr int points = 6;

/// A matrix that is known at compile time.
template <int R, int C>
struct Matrix {
  double at[R][C];

  constexpr Matrix<C, R> transposed() const {
    Matrix<C, R> t{};
    for (int i = 0; i < R; ++i)
      for (int j = 0; j < C; ++j) t.at[j][i] = at[i][j];
    return t;
  }
};

/// Bᵀ.
inline constexpr Matrix<6, 6> input{{{4, 0, -5, 0, 1, 0},
                                     {0, -4, -4, 1, 1, 0},
                                     {0, 4, -4, -1, 1, 0},
                                     {0, -2, -1, 2, 1, 0},
                                     {0, 2, -1, -2, 1, 0},
                                     {0, 4, 0, -5, 0, 1}}};

inline constexpr double finite_points[5] = {0, 1, -1, 2, -2};

/// Rows of powers of the points over their divisors; the point at infinity takes the last column. (No pointer that may
/// be null: g++ 12 refuses to compare one at compile time under -fsanitize=undefined.)
template <int C>
constexpr Matrix<6, C> powers(const double (&divisors)[5]) {
  Matrix<6, C> v{};
  for (int i = 0; i < 5; ++i) {
    double power = 1.0 / divisors[i];
    for (int j = 0; j < C; ++j, power *= finite_points[i]) v.at[i][j] = power;
  }
  v.at[5][C - 1] = 1.0;
  return v;
}

inline constexpr double divisors[5] = {4, -6, -6, 24, 24}, ones[5] = {1, 1, 1, 1, 1};

/// G for k taps.
template <int K>
inline constexpr Matrix<6, K> filter = powers<K>(divisors);

/// A for k taps: the transpose of the output transform.
template <int K>
inline constexpr Matrix<6, 7 - K> spread = powers<7 - K>(ones);

/// out[i] = Σ_j M[i][j]·in[j]; zero coefficients cost nothing, ones no multiplication.
template <auto M, class P, int R, int C>
inline void apply(const P (&in)[C], P (&out)[R]) {
  using Eigen::internal::padd;
  using Eigen::internal::pmadd;
  using Eigen::internal::pmul;
  using Eigen::internal::pset1;
  using Eigen::internal::psub;
  using T = typename Eigen::internal::unpacket_traits<P>::type;
  const auto row = [&]<int I>() {
    P sum = pset1<P>(T(0));
    const auto term = [&]<int J>() {
      constexpr double c = M.at[I][J];
      if constexpr (c == 1.0)
        sum = padd(sum, in[J]);
      else if constexpr (c == -1.0)
        sum = psub(sum, in[J]);
      else if constexpr (c != 0.0)
        sum = pmadd(pset1<P>(static_cast<T>(c)), in[J], sum);
    };
    [&]<int... J>(std::integer_sequence<int, J...>) {
      (term.template operator()<J>(), ...);
    }(std::make_integer_sequence<int, C>{});
    out[I] = sum;
  };
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (row.template operator()<I>(), ...);
  }(std::make_integer_sequence<int, R>{});
}

/// out (R, R) = M · in · Mᵀ for in (C, C).
template <auto M, class P, int R, int C>
inline void apply_both(const P (&in)[C][C], P (&out)[R][R]) {
  P half[C][R];  // rows of in, transformed
  for (int i = 0; i < C; ++i) apply<M>(in[i], half[i]);
  for (int j = 0; j < R; ++j) {
    P column[C], result[R];
    for (int i = 0; i < C; ++i) column[i] = half[i][j];
    apply<M>(column, result);
    for (int i = 0; i < R; ++i) out[i][j] = result[i];
  }
}

}  // namespace loru::detail::winograd
