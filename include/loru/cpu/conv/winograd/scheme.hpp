#pragma once
// The filterings that convolutions use: stride 1 with 3 or 5 taps, and stride 2 with 3 taps.

#include <loru/core/shape.hpp>
#include <loru/cpu/conv/winograd/matrix.hpp>

namespace loru::inline LORU_ISA::cpu::winograd {

/// What a filtering does along one dimension. Point p multiplies row p of `window`·d by transformed tap
/// tap[p]; the results meet in `collect`. Neighbouring tiles are in_step pixels apart in d and out_step in y.
template <int Points, int In, int Out>
struct Filtering {
  Matrix<Points, In> window;
  Matrix<Out, Points> collect;
  std::array<int, Points> tap;
  int in_step, out_step;

  static constexpr int points = Points, in = In, out = Out;
  constexpr Index tap_at(Index p) const { return tap[static_cast<std::size_t>(p)]; }
  /// The transformed tap of point p = (i, j) in two dimensions; both run over 6 taps a dimension.
  constexpr Index tap_of(Index p) const { return tap_at(p / Points) * 6 + tap_at(p % Points); }
  /// Whether no point before p = (i, j) has its tap.
  constexpr bool begins_tap(Index p) const {
    const auto repeats = [this](Index i) { return i > 0 && tap_at(i - 1) == tap_at(i); };
    return !repeats(p / Points) && !repeats(p % Points);
  }
};

/// A convolution of K taps and a stride: `taps` (G), the filtering that computes it, and the filtering of dy
/// by the reversed kernel that computes its input gradient.
template <int K, int Stride>
struct Scheme;

/// Stride 1: points 0, 1, −1, 2, −2 and ∞, 7 − K outputs a tile: 36 multiplications in two dimensions, for
/// 144 (K = 3) or 100 (K = 5) of the direct form.
template <int K>
struct Scheme<K, 1> {
  static constexpr std::array<double, 5> points{0, 1, -1, 2, -2};
  static constexpr Matrix<6, K> taps = power_matrix<K>(points, true);
  static constexpr Filtering<6, 6, 7 - K> forward{window_matrix(points),
                                                  power_matrix<7 - K>(points, false).transposed(),
                                                  {0, 1, 2, 3, 4, 5},
                                                  7 - K,
                                                  7 - K};
  static constexpr auto input_gradient = forward;
};

/// Stride 2, padding 1, K = 3, by phases. Of nine pixels for four outputs, the five at even places meet taps
/// 0 and 2 (points 0, 1, −1, 2 and ∞), the four at odd places meet tap 1 alone. 81 multiplications for 144 of
/// the direct form, 36 different transformed taps. The input gradient has the phases in its outputs: from
/// five values of dy, four dx at even places from tap 1, and four at odd places from taps 2 and 0.
template <>
struct Scheme<3, 2> {
  static constexpr std::array<double, 4> points{0, 1, -1, 2};
  static constexpr Matrix<6, 3> taps = [] {
    constexpr Matrix<5, 2> even = power_matrix<2>(points, true);
    Matrix<6, 3> g{};
    for (int i = 0; i < 5; ++i) g.at[i][0] = even.at[i][0], g.at[i][2] = even.at[i][1];
    g.at[5][1] = 1.0;
    return g;
  }();
  static constexpr Filtering<9, 9, 4> forward = [] {
    constexpr Matrix<5, 5> x = window_matrix(points);
    constexpr Matrix<5, 4> y = power_matrix<4>(points, false);
    Filtering<9, 9, 4> f{{}, {}, {0, 1, 2, 3, 4, 5, 5, 5, 5}, 8, 4};
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 5; ++j) f.window.at[i][2 * j] = x.at[i][j];
      for (int j = 0; j < 4; ++j) f.collect.at[j][i] = y.at[i][j];
    }
    for (int j = 0; j < 4; ++j) f.window.at[5 + j][2 * j + 1] = f.collect.at[j][5 + j] = 1.0;
    return f;
  }();
  static constexpr Filtering<9, 5, 8> input_gradient = [] {
    constexpr Matrix<5, 5> x = window_matrix(points);
    constexpr Matrix<5, 4> y = power_matrix<4>(points, false);
    Filtering<9, 5, 8> f{{}, {}, {0, 1, 2, 3, 4, 5, 5, 5, 5}, 4, 8};
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 5; ++j) f.window.at[i][j] = x.at[i][j];
      for (int j = 0; j < 4; ++j) f.collect.at[2 * j + 1][i] = y.at[i][j];
    }
    for (int j = 0; j < 4; ++j) f.window.at[5 + j][j] = f.collect.at[2 * j][5 + j] = 1.0;
    return f;
  }();
};

}  // namespace loru::inline LORU_ISA::cpu::winograd
