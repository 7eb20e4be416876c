#pragma once
// Which graph computes a low-rank layer and its gradients.

#include <algorithm>
#include <string>

#include <loru/nn/factored.hpp>

namespace loru::lowrank {

/// How a plan is found: by the planner, or forced.
enum class PlanChoice : unsigned char { automatic, factored, composed, composed_full };

/// FLOPs per second of the kinds of products in a step, relative to each other: dense products, thin products (one
/// extent is the rank) and the dense weight gradient. Measured once per machine kind; equal rates count FLOPs.
struct Rates {
  double dense = 1.0;
  double thin = 1.0;
  double weight_gradient = 1.0;
};

/// Predicted cost of one step (forward, dx if needed, factor gradients) in units of FLOPs over rates, with M rows:
/// factored       dense 2Mnm (4Mnm with dx), thin 4Mr(n+m) (6Mr(n+m) with dx)
/// composed       dense the same, thin 4Mr(n+m), compose 2nmr
/// composed_full  dense the same, weight gradient 2Mnm, compose and two projections 6nmr
inline double cost(Plan plan, const nn::LowRankProblem& p, const Rates& rates = {}) {
  const auto rows = static_cast<double>(p.rows), n = static_cast<double>(p.in),
             m = static_cast<double>(p.out);
  const auto r = static_cast<double>(p.rank);
  const double products = p.input_gradient ? 2.0 : 1.0;
  const double dense = products * 2.0 * rows * n * m / rates.dense;
  const double thin = 2.0 * rows * r * (n + m) / rates.thin, weight = 2.0 * n * m * r / rates.thin;
  switch (plan) {
    case Plan::factored: return dense + (1.0 + products) * thin;
    case Plan::composed: return dense + 2.0 * thin + weight;
    case Plan::composed_full: return dense + 2.0 * rows * n * m / rates.weight_gradient + 3.0 * weight;
  }
  return 0.0;
}

/// The cheapest plan by cost(); a tie goes to the first in the order factored, composed, composed_full.
inline Plan choose(const nn::LowRankProblem& p, const Rates& rates = {}) {
  Plan best = Plan::factored;
  for (Plan plan : {Plan::composed, Plan::composed_full})
    if (cost(plan, p, rates) < cost(best, p, rates)) best = plan;
  return best;
}

/// The rule that a factored weight asks at every product.
inline nn::PlanRule plan_rule(PlanChoice choice, const Rates& rates = {}) {
  switch (choice) {
    case PlanChoice::factored: return [](const nn::LowRankProblem&) { return Plan::factored; };
    case PlanChoice::composed: return [](const nn::LowRankProblem&) { return Plan::composed; };
    case PlanChoice::composed_full: return [](const nn::LowRankProblem&) { return Plan::composed_full; };
    case PlanChoice::automatic: break;
  }
  return [rates](const nn::LowRankProblem& p) { return choose(p, rates); };
}

}  // namespace loru::lowrank
