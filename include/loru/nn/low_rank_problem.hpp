#pragma once
// What decides which graph computes a low-rank product, and the rule that decides.

#include <functional>

#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA::nn {

/// One product with a factored weight: M rows, n in, m out, rank r, and whether dx is needed. For a convolution
/// M = N·Ho·Wo, n = Cin·kh·kw, and what decides how it is computed.
struct LowRankProblem {
  Index rows = 0, in = 0, out = 0, rank = 0;
  bool input_gradient = true;
  bool convolution = false;
  // of a convolution
  Index kernel = 1, stride = 1, padding = 0, dilation = 1;  // kernel 0: not square
  Index height = 1, width = 1;                              // H, W of x
  bool single = true;                                       // the scalar is float
};

/// Chooses the graph of a product; a pure function, so that one seed gives one model.
using PlanRule = std::function<Plan(const LowRankProblem&)>;

}  // namespace loru::nn
