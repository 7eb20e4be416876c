#pragma once
// Which plans a model's layers choose.

#include <loru/lowrank/merge.hpp>
#include <loru/lowrank/planner.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// A factored layer's product in a training step and the graph that computes it.
struct LayerPlan {
  std::string layer;
  nn::LowRankProblem problem;
  Plan plan;
};

/// The plans of one training step with inputs of the given shape (N, C, H, W) or (N, n), in the model's
/// order, found by sending one sample of zeros through a copy.
template <class T, class D>
std::vector<LayerPlan> explain(nn::Model<T, D> model, const Shape& input) {
  std::vector<LayerPlan> plans;
  for_each_weight<nn::Factored, nn::AggregationAware, nn::CoreFactored>(
      model, [&](const std::string& name, auto& layer) {
        const auto rule = layer.plan_rule();
        const bool drops = layer.dropout() > 0.0;
        plans.push_back({name, {}, Plan::factored});
        layer.set_plan([&plans, place = plans.size() - 1, rule, drops, images = input[0]](auto problem) {
          problem.rows *= images;
          plans[place].problem = problem;
          if (!drops) plans[place].plan = rule(problem);
          return Plan::composed;
        });
      });
  Shape one{1};
  for (Index i = 1; i < input.rank(); ++i) one.push_back(input[i]);
  Tensor<T, D> zeros(one, one.rank() == 4 ? Layout::channels_last : Layout::row_major);
  fill(zeros, T(0));
  model(Variable<T, D>(zeros));
  return plans;
}

}  // namespace loru::inline LORU_ISA::lowrank
