#pragma once
// The amount of work of a low-rank layer, by kind. Devices count the work of their own methods from these
// parts. A device answers
//   cost::Rates device_rates(Device)                                     how fast it is
//   cost::Work step_work(Device, Plan, const LowRankProblem&)            the work of one step in a graph
// both found by argument-dependent lookup. Neither measures anything.
//
// Products count FLOPs at the rate of their result's thinnest extent and the bytes of their operands.

#include <algorithm>
#include <cmath>
#include <concepts>

#include <loru/ops/rates.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

/// One product with a factored weight: M rows, n in, m out, rank r, and whether dx is needed. For a
/// convolution M = N·Ho·Wo, n = Cin·kh·kw, and what decides how it is computed.
struct LowRankProblem {
  Index rows = 0, in = 0, out = 0, rank = 0;
  bool input_gradient = true;
  bool convolution = false;
  // of a convolution
  Index kernel = 1, stride = 1, padding = 0, dilation = 1;  // kernel 0: not square
  Index height = 1, width = 1;                              // H, W of x
  bool single = true;                                       // the scalar is float
};

/// A device that says how fast it is and how much it does.
template <class D>
concept Planned = Device<D> && requires(Plan plan, const LowRankProblem& problem) {
  { device_rates(D{}) } -> std::same_as<cost::Rates>;
  { step_work(D{}, plan, problem) } -> std::same_as<cost::Work>;
};

namespace cost {

inline constexpr double scalar_bytes = 4.0;

/// Spreads FLOPs over the two neighbouring thin extents.
inline void add_flops(Work& work, std::size_t kind, double flops, Index thinnest) {
  const double most = static_cast<double>(thin_extents.size() - 1);
  const double position =
      std::clamp(std::log2(static_cast<double>(std::max<Index>(thinnest, 1)) / 8.0), 0.0, most);
  const auto below = static_cast<std::size_t>(position);
  const double above = position - static_cast<double>(below);
  work[kind + below] += flops * (1.0 - above);
  if (above > 0.0) work[kind + below + 1] += flops * above;
}

/// Bytes read and written in passes over `elements`.
inline Work stream(double elements, double passes = 1.0) {
  Work work;
  work[kind::memory] = scalar_bytes * elements * passes;
  return work;
}

/// FLOPs and the call of a product with a (rows, columns) result over `depth`; its bytes are left out.
inline Work multiplications(Index rows, Index columns, Index depth, Index thinnest) {
  Work work;
  add_flops(work, kind::product,
            2.0 * static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(depth),
            thinnest);
  work[kind::calls] = 1.0;
  return work;
}

/// c (rows, columns) of products over `depth`, added to what c holds or not.
inline Work product(Index rows, Index columns, Index depth, bool adds = false) {
  const auto m = static_cast<double>(rows), n = static_cast<double>(columns), k = static_cast<double>(depth);
  return multiplications(rows, columns, depth, std::min(rows, columns)) +
         stream(m * k + k * n + m * n * (adds ? 2.0 : 1.0));
}

/// The product of a dense layer of M rows, n = in and m = out.
inline Work dense_product(Direction direction, Index rows, Index in, Index out) {
  switch (direction) {
    case Direction::forward: return product(rows, out, in);
    case Direction::input_gradient: return product(rows, in, out);
    case Direction::weight_gradient: return product(out, in, rows);
  }
  return {};
}

/// Channels of x, or its columns.
inline Index channels(const LowRankProblem& p) {
  return p.convolution && p.kernel > 0 ? p.in / (p.kernel * p.kernel) : p.in;
}

/// The convolution of a problem with a square kernel, with `out` channels (m, or r for A).
inline detail::ConvExtents extents(const LowRankProblem& p, Index out) {
  const Index c = channels(p);
  const ConvOptions o{.stride = p.stride, .padding = p.padding, .dilation = p.dilation};
  const Shape weight{out, c, p.kernel, p.kernel}, y = conv_shape({1, c, p.height, p.width}, weight, o);
  return {{p.rows / (y[2] * y[3]), c, p.height, p.width}, weight, o};
}

/// Elements of x, y and W of a convolution.
struct ConvElements {
  double x, y, w;
  explicit ConvElements(const detail::ConvExtents& e)
      : x{static_cast<double>(e.n * e.h * e.w * e.cin)},
        y{static_cast<double>(e.n * e.ho * e.wo * e.cout)},
        w{static_cast<double>(e.cout * e.window())} {}
};

/// The work of one step (forward, dx if needed, factor gradients) out of separate products; layer(direction,
/// out) is that of one product of the layer with `out` columns or channels: m of W, r of A.
template <class Layer>
Work unfused_step(Plan plan, const LowRankProblem& p, Layer layer) {
  using enum Direction;
  const Index rows = p.rows, n = p.in, m = p.out, r = p.rank;
  Work total = layer(forward, m);
  if (p.input_gradient) total = total + layer(input_gradient, m);
  if (plan != Plan::factored) {  // W_eff
    total = total + product(m, n, r, true) + stream(static_cast<double>(n * m), 2.0);
  } else {
    total = total + product(rows, m, r, true);  // y += S·Bᵀ
    const bool in_place = !p.convolution || (p.kernel == 1 && p.stride == 1 && p.padding == 0);
    const auto pixels = static_cast<double>(p.rows * p.stride * p.stride);
    if (p.input_gradient)  // dx += dS·A, for convolutions as a sum of two
      total = total +
              (in_place ? product(rows, n, r, true)
                        : layer(input_gradient, r) + stream(pixels * static_cast<double>(channels(p)), 3.0));
  }
  if (plan == Plan::composed_full)
    return total + layer(weight_gradient, m) + product(m, r, n) + product(r, n, m);
  return total + layer(forward, r) + product(m, r, rows) + product(rows, r, m) + layer(weight_gradient, r);
}

}  // namespace cost

}  // namespace loru::inline LORU_ISA
