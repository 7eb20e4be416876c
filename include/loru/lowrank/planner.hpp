#pragma once
// Chooses the graph that computes a low-rank layer and its gradients: the one with the least predicted time.
// The prediction divides the device's count of its work by a table of rates. Nothing is measured here, so
// that one seed gives one model.

#include <loru/cpu/work.hpp>
#include <loru/lowrank/rates.hpp>
#include <loru/nn/factored.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// How a plan is found: by the planner, or forced.
enum class PlanChoice : unsigned char { automatic, factored, composed, composed_full };

/// FLOPs of one step (forward, dx if needed, factor gradients) as the table of docs/architecture.md counts
/// them:
/// factored       4Mnm + 6Mr(n+m)
/// composed       4Mnm + 4Mr(n+m) + 2nmr
/// composed_full  6Mnm + 6nmr
/// Without dx 2Mnm less, and factored 2Mnr less.
inline double flops(Plan plan, const LowRankProblem& p) {
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

/// Predicted seconds of one step on device D; on the host, with one thread.
template <Planned D = Cpu>
double seconds(Plan plan, const LowRankProblem& p, const Rates& rates = device_rates(D{})) {
  return cost::seconds(step_work(D{}, plan, p), rates);
}

/// The fastest plan by seconds(); a tie goes to the first in the order factored, composed, composed_full.
template <Planned D = Cpu>
Plan choose(const LowRankProblem& p, const Rates& rates = device_rates(D{})) {
  Plan best = Plan::factored;
  for (Plan plan : {Plan::composed, Plan::composed_full})
    if (seconds<D>(plan, p, rates) < seconds<D>(best, p, rates)) best = plan;
  return best;
}

/// The rule that a factored weight on device D asks at every product.
template <Planned D = Cpu>
nn::PlanRule plan_rule(PlanChoice choice, const Rates& rates = device_rates(D{})) {
  switch (choice) {
    case PlanChoice::factored: return [](const LowRankProblem&) { return Plan::factored; };
    case PlanChoice::composed: return [](const LowRankProblem&) { return Plan::composed; };
    case PlanChoice::composed_full: return [](const LowRankProblem&) { return Plan::composed_full; };
    case PlanChoice::automatic: break;
  }
  return [rates](const LowRankProblem& p) { return choose<D>(p, rates); };
}

}  // namespace loru::inline LORU_ISA::lowrank
