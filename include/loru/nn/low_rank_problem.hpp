#pragma once
// The rule that decides which graph computes a low-rank product.

#include <functional>

#include <loru/ops/work.hpp>

namespace loru::inline LORU_ISA::nn {

using loru::LowRankProblem;

/// Chooses the graph of a product; a pure function, so that one seed gives one model.
using PlanRule = std::function<Plan(const LowRankProblem&)>;

}  // namespace loru::inline LORU_ISA::nn
