#pragma once
// Which graph computes a low-rank layer and its gradients: the one that a table of rates predicts to be fastest. Nothing
// is measured here, so that one seed gives one model.

#include <loru/lowrank/cost.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// How a plan is found: by the planner, or forced.
enum class PlanChoice : unsigned char { automatic, factored, composed, composed_full };

/// Predicted seconds of one step (forward, dx if needed, factor gradients) on one thread.
inline double seconds(Plan plan, const nn::LowRankProblem& p, const Rates& rates = shipped_rates()) {
  return seconds(work(plan, p), rates);
}

/// The fastest plan by seconds(); a tie goes to the first in the order factored, composed, composed_full.
inline Plan choose(const nn::LowRankProblem& p, const Rates& rates = shipped_rates()) {
  Plan best = Plan::factored;
  for (Plan plan : {Plan::composed, Plan::composed_full})
    if (seconds(plan, p, rates) < seconds(best, p, rates)) best = plan;
  return best;
}

/// The rule that a factored weight asks at every product.
inline nn::PlanRule plan_rule(PlanChoice choice, const Rates& rates = shipped_rates()) {
  switch (choice) {
    case PlanChoice::factored: return [](const nn::LowRankProblem&) { return Plan::factored; };
    case PlanChoice::composed: return [](const nn::LowRankProblem&) { return Plan::composed; };
    case PlanChoice::composed_full: return [](const nn::LowRankProblem&) { return Plan::composed_full; };
    case PlanChoice::automatic: break;
  }
  return [rates](const nn::LowRankProblem& p) { return choose(p, rates); };
}

}  // namespace loru::lowrank
