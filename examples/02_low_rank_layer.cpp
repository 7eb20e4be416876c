// A layer that learns through W + s·B·A: W stays frozen while A and B are trained, then s·B·A is merged into
// W. The layer computes the same before and after the merge, and what W gained has rank r.

#include <cmath>
#include <cstdio>
#include <loru/data/digits.hpp>
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/train/train.hpp>

using namespace loru;

namespace {

Index trained(nn::Model<float>& model) {
  Index count = 0;
  for (const auto& p : model.trained_parameters()) count += p.value.value().size();
  return count;
}

}  // namespace

int main() {
  // docs: begin layer
  const data::Split digits = data::digits();
  auto model = nn::mlp<float>({.height = 8, .width = 8});
  const Index dense = trained(model);

  constexpr Index rank = 4;
  lowrank::factorize(model, {.rank = rank, .alpha = 8.0, .layers = {"fc2"}});
  std::printf("trained parameters: %td dense, %td with fc2 at rank %td\n", dense, trained(model), rank);
  const Tensor<float> start = lowrank::effective_weights(model).at("fc2");

  train::fit(model, digits.train, {.epochs = 7, .optimizer = {.learning_rate = 0.05, .momentum = 0.9}});
  WorkerPool pool(1);
  const auto before = train::evaluate(model, digits.test, pool);

  // W <- W + s·B·A; A starts anew and B at zero, ready for the next update.
  lowrank::merge(model, lowrank::MergeKind::reinit, rng::Stream(1, rng::Purpose::merge, 1));
  // docs: end layer
  const auto after = train::evaluate(model, digits.test, pool);
  const Index gained = lowrank::update_rank(lowrank::effective_weights(model).at("fc2"), start);

  std::printf("before the merge  accuracy %.4f  loss %.6f\n", before.accuracy, before.loss);
  std::printf("after the merge   accuracy %.4f  loss %.6f\n", after.accuracy, after.loss);
  std::printf("rank of what W gained: %td\n", gained);
  return gained == rank && before.accuracy > 0.9 && std::abs(after.loss - before.loss) < 1e-5 ? 0 : 1;
}
