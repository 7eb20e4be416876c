#pragma once
// Which plans a model's layers choose.

#include <loru/lowrank/merge.hpp>
#include <loru/lowrank/planner.hpp>

namespace loru::lowrank {

/// A factored layer's product in a training step and the graph that computes it.
struct LayerPlan {
  std::string layer;
  nn::LowRankProblem problem;
  Plan plan;
};

/// The plans of one training step with inputs of the given shape (N, C, H, W), in the model's order, found by running
/// the forward pass of a copy on zeros.
template <class T, class D>
std::vector<LayerPlan> explain(nn::Model<T, D> model, const Shape& input) {
  std::vector<LayerPlan> plans;
  for_each_factored(model, [&](const std::string& name, nn::Factored<T, D>& layer) {
    layer.set_plan([&plans, name, rule = layer.plan_rule()](const nn::LowRankProblem& problem) {
      plans.push_back({name, problem, rule(problem)});
      return plans.back().plan;
    });
  });
  Tensor<T, D> zeros(input, Layout::channels_last);
  fill(zeros, T(0));
  model(Variable<T, D>(zeros), nn::Pass::train());
  return plans;
}

}  // namespace loru::lowrank
