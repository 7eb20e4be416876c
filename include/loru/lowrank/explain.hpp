#pragma once
// Which plans a model's layers choose.

#include <loru/lowrank/merge.hpp>
#include <loru/lowrank/planner.hpp>
#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// A factored layer's product in a training step and the graph that computes it.
struct LayerPlan {
  std::string layer;
  nn::LowRankProblem problem;
  Plan plan;
};

namespace detail {

/// The plans that the factored layers of a copy choose when run(model) sends something through it, with the
/// rows of every product multiplied by `times`.
template <class T, class D, class Run>
std::vector<LayerPlan> plans_of(nn::Model<T, D> model, Index times, Run run) {
  std::vector<LayerPlan> plans;
  for_each_weight<nn::Factored, nn::AggregationAware, nn::CoreFactored>(
      model, [&](const std::string& name, auto& layer) {
        const auto rule = layer.plan_rule();
        const bool drops = layer.dropout() > 0.0;
        plans.push_back({name, {}, Plan::factored});
        layer.set_plan([&plans, place = plans.size() - 1, rule, drops, times](auto problem) {
          problem.rows *= times;
          plans[place].problem = problem;
          if (!drops) plans[place].plan = rule(problem);
          return Plan::composed;
        });
      });
  run(model);
  return plans;
}

}  // namespace detail

/// The plans of one training step with inputs of the given shape (N, C, H, W) or (N, n), in the model's
/// order, found by sending one sample of zeros through a copy.
template <class T, class D>
std::vector<LayerPlan> explain(nn::Model<T, D> model, const Shape& input) {
  return detail::plans_of(std::move(model), input[0], [&](nn::Model<T, D>& copy) {
    Shape one{1};
    for (Index i = 1; i < input.rank(); ++i) one.push_back(input[i]);
    Tensor<T, D> zeros(one, one.rank() == 4 ? Layout::channels_last : Layout::row_major);
    fill(zeros, T(0));
    copy(Variable<T, D>(zeros));
  });
}

/// The plans of one training step with so many times these sequences, which are sent through a copy once.
template <class T, class D>
std::vector<LayerPlan> explain(nn::Model<T, D> model, const nn::Tokens<D>& tokens, Index times = 1) {
  return detail::plans_of(std::move(model), times, [&](nn::Model<T, D>& copy) {
    copy(Variable<T, D>(Tensor<T, D>()), nn::Pass{.sequences = &tokens});
  });
}

}  // namespace loru::inline LORU_ISA::lowrank
