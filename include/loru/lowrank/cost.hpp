#pragma once
// How much work each graph of a low-rank layer is, by kind: a pure function of the problem.
//
// Products count FLOPs at the rate of their result's thinnest extent and the bytes of their operands. A convolution is
// counted the way ops/conv.hpp computes it: as a plain product (1×1), by Winograd's filtering, or by windows.

#include <cmath>

#include <loru/lowrank/rates.hpp>
#include <loru/nn/factored.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// FLOPs of one step (forward, dx if needed, factor gradients) as the table of docs/architecture.md counts them:
/// factored       4Mnm + 6Mr(n+m)
/// composed       4Mnm + 4Mr(n+m) + 2nmr
/// composed_full  6Mnm + 6nmr
/// Without dx 2Mnm less, and factored 2Mnr less.
inline double flops(Plan plan, const nn::LowRankProblem& p) {
  const auto rows = static_cast<double>(p.rows), n = static_cast<double>(p.in),
             m = static_cast<double>(p.out), r = static_cast<double>(p.rank);
  const double dx = p.input_gradient ? 1.0 : 0.0;
  const double dense = 2.0 * rows * n * m, thin = 2.0 * rows * r * (n + m), weight = 2.0 * n * m * r;
  switch (plan) {
    case Plan::factored: return (1.0 + dx) * dense + 3.0 * thin - (1.0 - dx) * 2.0 * rows * n * r;
    case Plan::composed: return (1.0 + dx) * dense + 2.0 * thin + weight;
    case Plan::composed_full: return (2.0 + dx) * dense + 3.0 * weight;
  }
  return 0.0;
}

inline Work operator+(Work a, const Work& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

namespace detail {

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

/// c (rows, columns) of products over `depth`, added to what c holds or not.
inline Work product(Index rows, Index columns, Index depth, bool adds = false) {
  const auto m = static_cast<double>(rows), n = static_cast<double>(columns), k = static_cast<double>(depth);
  Work work{};
  add_flops(work, kind::product, 2.0 * m * n * k, std::min(rows, columns));
  work[kind::memory] = scalar_bytes * (m * k + k * n + m * n * (adds ? 2.0 : 1.0));
  work[kind::calls] = 1.0;
  return work;
}

/// Bytes read and written in passes over `elements`.
inline Work stream(double elements, double passes) {
  Work work{};
  work[kind::memory] = scalar_bytes * elements * passes;
  return work;
}

/// The products of a dense layer: y, dx or dW.
enum class Product : unsigned char { forward, input_gradient, weight_gradient };

/// Channels of x, or its columns.
inline Index channels(const nn::LowRankProblem& p) {
  return p.convolution && p.kernel > 0 ? p.in / (p.kernel * p.kernel) : p.in;
}

/// The product of a dense layer of the problem's geometry with `out` columns or channels.
inline Work plain_product(Product which, Index rows, Index in, Index out) {
  switch (which) {
    case Product::forward: return product(rows, out, in);
    case Product::input_gradient: return product(rows, in, out);
    case Product::weight_gradient: return product(out, in, rows);
  }
  return {};
}

/// Winograd's filtering of a stride s and k taps a dimension: products of points² slabs, on tiles of step² outputs.
inline Work filtering(const nn::LowRankProblem& p, const loru::detail::ConvExtents& e) {
  const Index points = p.stride == 2 ? 9 : 6, step = p.stride == 2 ? 4 : 7 - p.kernel;
  const double slabs = static_cast<double>(points * points);
  const double tiles = static_cast<double>(e.n * ((e.ho + step - 1) / step) * ((e.wo + step - 1) / step));
  const auto in = static_cast<double>(e.cin), out = static_cast<double>(e.cout);
  Work work{};
  add_flops(work, kind::filtering, 2.0 * slabs * tiles * in * out, std::min(e.cin, e.cout));
  work[kind::transforms] = scalar_bytes * (slabs * tiles * (in + out) + 36.0 * in * out);
  work[kind::calls] = 1.0;
  return work;
}

/// One product of a layer with `out` columns or channels (m, or r for A), the way the library computes it.
inline Work layer_product(Product which, const nn::LowRankProblem& p, Index out) {
  if (!p.convolution) return plain_product(which, p.rows, p.in, out);
  const bool square = p.kernel > 0;
  if (square) {
    const Index c = channels(p);
    const ConvOptions o{.stride = p.stride, .padding = p.padding, .dilation = p.dilation};
    const Shape one = conv_shape({1, c, p.height, p.width}, {out, c, p.kernel, p.kernel}, o);
    const loru::detail::ConvExtents e({p.rows / (one[2] * one[3]), c, p.height, p.width},
                                      {out, c, p.kernel, p.kernel}, o);
    if (e.pointwise()) return plain_product(which, p.rows, p.in, out);
    if (p.single && loru::cpu::winograd::serves(e)) return filtering(p, e);
  }
  Work work = plain_product(which, p.rows, p.in, out);
  work[kind::memory] = 0.0;
  const double passes = which == Product::input_gradient ? 2.0 : 1.0;
  work[kind::windows] = passes * scalar_bytes * static_cast<double>(p.rows) * static_cast<double>(p.in);
  return work;
}

/// dx += dS·A: in place for matrices, else a convolution and a sum.
inline Work low_input_gradient(const nn::LowRankProblem& p) {
  const bool in_place = !p.convolution || (p.kernel == 1 && p.stride == 1 && p.padding == 0);
  if (in_place) return product(p.rows, p.in, p.rank, true);
  const auto pixels = static_cast<double>(p.rows * p.stride * p.stride);
  return layer_product(Product::input_gradient, p, p.rank) +
         stream(pixels * static_cast<double>(channels(p)), 3.0);
}

}  // namespace detail

/// The work of one step (forward, dx if needed, factor gradients) in a graph.
inline Work work(Plan plan, const nn::LowRankProblem& p) {
  using detail::layer_product, detail::product, detail::Product;
  const Index rows = p.rows, n = p.in, m = p.out, r = p.rank;
  Work total = layer_product(Product::forward, p, m);
  if (p.input_gradient) total = total + layer_product(Product::input_gradient, p, m);
  if (plan == Plan::factored) {
    total = total + product(rows, m, r, true);
    if (p.input_gradient) total = total + detail::low_input_gradient(p);
  } else {
    total = total + product(m, n, r, true) + detail::stream(static_cast<double>(n * m), 2.0);
  }
  if (plan == Plan::composed_full)
    return total + layer_product(Product::weight_gradient, p, m) + product(m, r, n) + product(r, n, m);
  return total + layer_product(Product::forward, p, r) + product(m, r, rows) + product(rows, r, m) +
         layer_product(Product::weight_gradient, p, r);
}

}  // namespace loru::lowrank
