#pragma once
// Products of Winograd's constant matrices with SIMD packets.

#include <algorithm>
#include <array>

#include <loru/cpu/conv/winograd/matrix.hpp>
#include <loru/cpu/gemm/microkernel.hpp>

// Functions around apply_both are inlined completely, so that tiles stay in registers. Not under sanitizers,
// where the compiler would take minutes.
#if defined(__SANITIZE_ADDRESS__)
#define LORU_INLINED_WHOLE
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LORU_INLINED_WHOLE
#endif
#endif
#ifndef LORU_INLINED_WHOLE
#define LORU_INLINED_WHOLE [[gnu::flatten]]
#endif

namespace loru::inline LORU_ISA::cpu::winograd {

/// How two neighbouring rows of a matrix stand to each other: equal in size, with at least one sign that
/// differs.
template <int R, int C>
constexpr bool mirrored(const Matrix<R, C>& m, int i) {
  if (i + 1 >= R) return false;
  bool opposite = false;
  for (int j = 0; j < C; ++j) {
    if (m.at[i][j] != m.at[i + 1][j] && m.at[i][j] != -m.at[i + 1][j]) return false;
    opposite |= m.at[i][j] != m.at[i + 1][j];
  }
  return opposite;
}

/// Σ_j M[I][j]·in[j] over the columns where row I equals row I + Other (Same) or is its opposite (not Same);
/// without terms, zero. Zero coefficients cost nothing, ones no multiplication.
template <auto M, int I, int Other, bool Same, class P, std::size_t C>
inline P signed_sum(const std::array<P, C>& in) {
  using T = Element<P>;
  // The chain begins with a column of coefficient 1, where there is one.
  constexpr auto counts = [](int j) {
    return M.at[I][j] != 0.0 && (M.at[I][j] == M.at[I + Other][j]) == Same;
  };
  constexpr int first = [=] {
    int found = -1;
    for (int j = static_cast<int>(C) - 1; j >= 0; --j)
      if (counts(j) && (found < 0 || M.at[I][j] == 1.0 || M.at[I][found] != 1.0)) found = j;
    return found;
  }();
  if constexpr (first < 0) {
    return pset1<P>(T(0));
  } else {
    constexpr double c0 = M.at[I][first];
    P sum = c0 == 1.0 ? in[first] : pmul(pset1<P>(static_cast<T>(c0)), in[first]);
    unroll<static_cast<int>(C)>([&]<int J>() {
      constexpr double c = M.at[I][J];
      if constexpr (J == first || !counts(J))
        return;
      else if constexpr (c == 1.0)
        sum = padd(sum, in[J]);
      else if constexpr (c == -1.0)
        sum = psub(sum, in[J]);
      else
        sum = pmadd(pset1<P>(static_cast<T>(c)), in[J], sum);
    });
    return sum;
  }
}

/// Whether columns j and j + 1 are equal in size everywhere, with equal and with opposite signs among them.
template <int R, int C>
constexpr bool folds(const Matrix<R, C>& m, int j) {
  if (j < 0 || j + 1 >= C) return false;
  bool same = false, opposite = false;
  for (int i = 0; i < R; ++i) {
    if (m.at[i][j] != m.at[i][j + 1] && m.at[i][j] != -m.at[i][j + 1]) return false;
    same |= m.at[i][j] != 0.0 && m.at[i][j] == m.at[i][j + 1];
    opposite |= m.at[i][j] != m.at[i][j + 1];
  }
  return same && opposite;
}

/// The matrix that acts on sums and differences in place of the columns that fold.
template <int R, int C>
constexpr Matrix<R, C> folded(Matrix<R, C> m) {
  for (int j = 0; j + 1 < C; ++j)
    if (folds(m, j))
      for (int i = 0; i < R; ++i) {
        const double c = m.at[i][j];
        (c == m.at[i][j + 1] ? m.at[i][j + 1] : m.at[i][j]) = 0.0;
        if (m.at[i][j] == 0.0) m.at[i][j + 1] = c;
      }
  return m;
}

/// in[j] + in[j + 1] and in[j] − in[j + 1] in place of the columns that fold.
template <auto M, class P, std::size_t C>
inline std::array<P, C> fold(const std::array<P, C>& in) {
  std::array<P, C> out;
  unroll<static_cast<int>(C)>([&]<int J>() {
    if constexpr (folds(M, J))
      out[J] = padd(in[J], in[J + 1]);
    else if constexpr (folds(M, J - 1))
      out[J] = psub(in[J - 1], in[J]);
    else
      out[J] = in[J];
  });
  return out;
}

/// out[i] = Σ_j M[First + i][j]·in[j] for Count rows. Mirrored rows share their sums: e + o and e − o.
template <auto M, int First, int Count, class P, std::size_t C>
inline std::array<P, Count> apply(const std::array<P, C>& unfolded) {
  const std::array<P, C> in = fold<M>(unfolded);
  std::array<P, Count> out;
  unroll<Count>([&]<int I>() {
    constexpr auto m = folded(M);
    constexpr int row = First + I;
    if constexpr (I + 1 < Count && mirrored(m, row)) {
      const P even = signed_sum<m, row, 1, true>(in), odd = signed_sum<m, row, 1, false>(in);
      out[I] = padd(even, odd);
      out[I + 1] = psub(even, odd);
    } else if constexpr (I == 0 || !mirrored(m, row - 1)) {
      out[I] = signed_sum<m, row, 0, true>(in);
    }
  });
  return out;
}

/// Rows of M that are worked on at once, so that their C columns of intermediate values stay in registers.
template <int R, int C>
inline constexpr int rows_at_once = R * C <= 18  ? R
                                    : R % 3 == 0 ? 3
                                                 : 2;

/// M·in·Mᵀ of a square of C×C values that load<i, j>() gives, handed to store<i, j>(value) as R×R values. A
/// group of rows at a time: its products with the columns first, then each row.
template <auto M, class P, class Load, class Store>
inline void apply_both(Load load, Store store) {
  constexpr int R = M.rows, C = M.cols;
  constexpr int most = rows_at_once<R, C>;
  unroll<(R + most - 1) / most>([&]<int Group>() {
    constexpr int first = Group * most, count = std::min(most, R - first);
    std::array<std::array<P, C>, count> half;
    unroll<C>([&]<int J>() {
      std::array<P, C> column;
      unroll<C>([&]<int I>() { column[I] = load.template operator()<I, J>(); });
      const auto products = apply<M, first, count>(column);
      unroll<count>([&]<int I>() { half[I][J] = products[I]; });
    });
    unroll<count>([&]<int I>() {
      const auto row = apply<M, 0, R>(half[I]);
      unroll<R>([&]<int J>() { store.template operator()<first + I, J>(row[J]); });
    });
  });
}

}  // namespace loru::inline LORU_ISA::cpu::winograd
