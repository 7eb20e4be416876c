#pragma once
// Which way a convolution goes on the host: a pure function of its shapes, its scalar and its direction. The
// ops ask it, and so does the planner.

#include <loru/cpu/conv/winograd/scheme.hpp>
#include <loru/cpu/lanes.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA::cpu {

using detail::ConvExtents;

enum class ConvWay : unsigned char {
  product,   ///< one matrix product: kernels of 1×1, stride 1, no padding
  winograd,  ///< minimal filtering: float alone
  lines,     ///< products straight from lines of images
  windows,   ///< gathered windows: any geometry
};

struct ConvRoute {
  ConvWay way;
  bool reversed = false;  ///< an input gradient as the forward convolution of dy with the reversed kernel
};

namespace winograd {

/// Whether this method applies to the convolution: a square kernel that has a Scheme, and enough channels and
/// pixels for the transforms to pay. They pay less at stride 2, which therefore also needs full packets of
/// channels.
inline bool serves(const ConvExtents& e) {
  const bool stride1 =
      e.o.stride == 1 && (e.kh == 3 || e.kh == 5) && e.o.padding < e.kh && e.cin >= 8 && e.cout >= 8;
  const bool stride2 = e.o.stride == 2 && e.kh == 3 && e.o.padding == 1 && e.cin >= 32 && e.cout >= 32 &&
                       e.cin % float_lanes == 0 && e.cout % float_lanes == 0;
  return (stride1 || stride2) && e.kw == e.kh && e.o.dilation == 1 && e.o.groups == 1 &&
         e.n * e.ho * e.wo >= 64;
}

/// f.operator()<Scheme>() for a convolution that is served.
template <class F>
auto with_scheme(const ConvExtents& e, F f) {
  if (e.o.stride == 2) return f.template operator()<Scheme<3, 2>>();
  if (e.kh == 3) return f.template operator()<Scheme<3, 1>>();
  return f.template operator()<Scheme<5, 1>>();
}

}  // namespace winograd

/// Padding of the convolution of dy with the reversed kernel that gives dx at stride 1; negative if there is
/// no such convolution.
inline Index reversed_padding(const ConvExtents& e) { return e.o.dilation * (e.kh - 1) - e.o.padding; }

/// The convolution of dy (N, Cout, Ho, Wo) with the reversed kernel (Cin, Cout, k, k) that gives dx at stride
/// 1.
inline ConvExtents reversed(const ConvExtents& e) {
  return {{e.n, e.cout, e.ho, e.wo},
          {e.cin, e.cout, e.kh, e.kw},
          {.stride = 1, .padding = reversed_padding(e), .dilation = e.o.dilation, .groups = 1}};
}

/// The way of a convolution of the extents e of x and w, or of one of its gradients.
inline ConvRoute conv_route(Direction direction, const ConvExtents& e, bool single) {
  if (single && winograd::serves(e)) return {ConvWay::winograd};
  if (direction == Direction::input_gradient) {
    const bool mirrors = e.o.stride == 1 && e.o.groups == 1 && e.kh == e.kw && reversed_padding(e) >= 0;
    if (!mirrors) return {ConvWay::windows};
    return {conv_route(Direction::forward, reversed(e), single).way, true};
  }
  if (e.pointwise()) return {ConvWay::product};
  const bool in_lines = e.o.groups == 1 && e.o.dilation == 1;
  // In the forward direction each line of outputs is one product, and a short line has too few rows for that.
  const bool long_enough = direction == Direction::weight_gradient || e.wo >= 7;
  return {in_lines && long_enough ? ConvWay::lines : ConvWay::windows};
}

}  // namespace loru::inline LORU_ISA::cpu
