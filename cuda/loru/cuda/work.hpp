#pragma once
// How fast the CUDA device is and how much work a low-rank layer is on it, for the planner. Convolutions are
// implicit GEMM, and the factored graph is computed by fused kernels (kernels/forward.cuh, backward.cuh,
// convolution.cuh).

#include <loru/cuda/device.hpp>
#include <loru/cuda/rates.hpp>
#include <loru/cuda/runtime.hpp>
#include <loru/ops/work.hpp>

namespace loru::cuda {

/// Rates of the current device's compute capability. Throws NoDevice, CudaError.
inline cost::Rates device_rates(Cuda) {
  const DeviceProperties& device = detail::this_device();
  return capability_rates(device.major, device.minor);
}

namespace detail {

/// The layer's product with `out` columns or channels, its depth larger by `beside`. A convolution reads the
/// image and not a matrix of windows, which are gathered tile by tile. dx sums over all places of the kernel
/// for each pixel of x.
inline cost::Work layer_work(Direction direction, const LowRankProblem& p, Index out, Index beside = 0) {
  if (!p.convolution || p.kernel == 0) {
    if (direction == Direction::input_gradient) return cost::product(p.rows, p.in, out + beside);
    return direction == Direction::forward ? cost::product(p.rows, out, p.in + beside)
                                           : cost::product(out, p.in, p.rows);
  }
  const loru::detail::ConvExtents e = cost::extents(p, out);
  const cost::ConvElements elements(e);
  const Index pixels = e.n * e.h * e.w, places = e.kh * e.kw;
  const bool is_forward = direction == Direction::forward;
  const auto extra = static_cast<double>(beside) * static_cast<double>(p.rows + (is_forward ? out : p.in));
  cost::Work work =
      is_forward ? cost::multiplications(p.rows, out, p.in + beside, std::min(p.rows, out))
      : direction == Direction::input_gradient
          ? cost::multiplications(pixels, e.cin, places * (out + beside), std::min(pixels, e.cin))
          : cost::multiplications(out, p.in, p.rows, std::min(out, p.in));
  return work + cost::stream(elements.x + elements.y + elements.w + extra);
}

/// S = s·x·Aᵀ, then y = [x S]·[W B]ᵀ; dS = s·dy·B and dB = dyᵀ·S, dx = [dy dS]·[W; A] and dA = dSᵀ·x.
inline cost::Work fused_step(const LowRankProblem& p) {
  using enum Direction;
  const Index rows = p.rows, m = p.out, r = p.rank;
  cost::Work work = layer_work(forward, p, r) + layer_work(forward, p, m, r) + cost::product(rows, r, m) +
                    cost::product(m, r, rows) + layer_work(weight_gradient, p, r);
  if (p.input_gradient) work = work + layer_work(input_gradient, p, m, r);
  return work;
}

}  // namespace detail

/// The work of one step (forward, dx if needed, factor gradients) in a graph. Double has no fused kernels.
inline cost::Work step_work(Cuda, Plan plan, const LowRankProblem& p) {
  if (plan == Plan::factored && p.single) return detail::fused_step(p);
  return cost::unfused_step(
      plan, p, [&](Direction direction, Index out) { return detail::layer_work(direction, p, out); });
}

}  // namespace loru::cuda
