#pragma once
// The amount of work of a low-rank layer on the host. cpu/conv/way.hpp says how a convolution is computed.

#include <loru/cpu/conv/way.hpp>
#include <loru/cpu/rates.hpp>
#include <loru/ops/work.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// A filtering of tiles that lie F.out_step apart in the (h, w) images that it writes: products of points²
/// slabs.
template <class F>
cost::Work filtering_work(const F& f, Index taps, const ConvExtents& e, Index h, Index w) {
  const auto tiles =
      static_cast<double>(e.n * ((h + f.out_step - 1) / f.out_step) * ((w + f.out_step - 1) / f.out_step));
  const double slabs = F::points * F::points;
  const auto in = static_cast<double>(e.cin), out = static_cast<double>(e.cout);
  cost::Work work;
  cost::add_flops(work, cost::kind::filtering, 2.0 * slabs * tiles * in * out, std::min(e.cin, e.cout));
  work[cost::kind::transforms] =
      cost::scalar_bytes * (slabs * tiles * (in + out) + static_cast<double>(taps * taps) * in * out);
  work[cost::kind::calls] = 1.0;
  return work;
}

inline cost::Work winograd_work(Direction direction, const ConvExtents& e) {
  return winograd::with_scheme(e, [&]<class S>() {
    return direction == Direction::input_gradient
               ? filtering_work(S::input_gradient, S::taps.rows, e, e.h, e.w)
               : filtering_work(S::forward, S::taps.rows, e, e.ho, e.wo);
  });
}

/// Images are padded once and read in place. In the forward direction a product is one line of outputs high;
/// for dW each kernel row is a product.
inline cost::Work lines_work(Direction direction, const ConvExtents& e) {
  const cost::ConvElements elements(e);
  const Index pixels = e.n * e.ho * e.wo;
  const bool forward = direction == Direction::forward;
  return (forward ? cost::multiplications(pixels, e.cout, e.window(), std::min(e.wo, e.cout))
                  : cost::multiplications(e.cout, e.window(), pixels, std::min(e.line(), e.cout))) +
         cost::stream(elements.x * (e.o.padding > 0 ? 3.0 : 1.0) + elements.y + elements.w);
}

/// A matrix of windows (M, n) is gathered, or gathered and added back.
inline cost::Work windows_work(Direction direction, Index rows, Index in, Index out) {
  cost::Work work = cost::dense_product(direction, rows, in, out);
  work[cost::kind::memory] = 0.0;
  const double passes = direction == Direction::input_gradient ? 2.0 : 1.0;
  work[cost::kind::windows] =
      passes * cost::scalar_bytes * static_cast<double>(rows) * static_cast<double>(in);
  return work;
}

/// One product of a convolution.
inline cost::Work conv_work(Direction direction, const ConvExtents& e, bool single) {
  const ConvRoute route = conv_route(direction, e, single);
  if (route.reversed) return conv_work(Direction::forward, reversed(e), single);
  const Index rows = e.n * e.ho * e.wo;
  switch (route.way) {
    case ConvWay::product: return cost::dense_product(direction, rows, e.cin, e.cout);
    case ConvWay::winograd: return winograd_work(direction, e);
    case ConvWay::lines: return lines_work(direction, e);
    case ConvWay::windows: return windows_work(direction, rows, e.window(), e.cout);
  }
  return {};
}

/// One product of a layer with `out` columns or channels.
inline cost::Work layer_work(Direction direction, const LowRankProblem& p, Index out) {
  if (!p.convolution) return cost::dense_product(direction, p.rows, p.in, out);
  if (p.kernel == 0) return windows_work(direction, p.rows, p.in, out);
  return conv_work(direction, cost::extents(p, out), p.single);
}

}  // namespace cpu

/// The work of one step (forward, dx if needed, factor gradients) in a graph.
inline cost::Work step_work(Cpu, Plan plan, const LowRankProblem& p) {
  return cost::unfused_step(
      plan, p, [&](Direction direction, Index out) { return cpu::layer_work(direction, p, out); });
}

}  // namespace loru::inline LORU_ISA
