// What tasks compute: losses and metrics by hand, and errors for data that are not theirs.
#include <loru/nn/models/char_transformer.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/train/train.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;

namespace {

data::Batch<double> values(const Tensor<double>& t) { return {.inputs = t, .values = t}; }

data::Dataset rows(data::Targets targets) {
  return {.name = "rows",
          .sample = {2},
          .features = std::vector<float>{1, 2, 3, 4},
          .targets = std::move(targets)};
}

}  // namespace

TEST_CASE("regression: squared error, mean absolute error and r2") {
  const train::Regression task;
  const Tensor<double> y({4, 1}, {1.0, 2.0, 3.0, 6.0}), t({4, 1}, {1.0, 3.0, 3.0, 5.0});
  CHECK(item(task.loss(Variable<double>(y), values(t))) == 0.5);
  const auto metrics = task.measure(task.observe(y, values(t)), 4);
  CHECK(metrics[0] == 0.5);
  CHECK(metrics[1] == Approx(1.0 - 2.0 / 8.0));  // the targets' mean is 3
  CHECK(task.measure(task.observe(t, values(t)), 4) == std::vector<double>{0.0, 1.0});
}

TEST_CASE("regression: r2 of several numbers goes by the mean of each") {
  const train::Regression task;
  const Tensor<double> t({2, 2}, {0.0, 10.0, 2.0, 10.0}), means({2, 2}, {1.0, 10.0, 1.0, 10.0});
  CHECK(task.measure(task.observe(means, values(t)), 2)[1] == 0.0);
  const Tensor<double> same({2, 1}, {7.0, 7.0});
  CHECK(task.measure(task.observe(same, values(same)), 2)[1] == 0.0);
}

TEST_CASE("multilabel: micro f1 and macro auc") {
  const train::MultiLabel task;
  const Tensor<double> z({4, 2}, {2.0, -1.0, -1.0, 1.0, 1.0, 1.0, -2.0, 1.0});
  const Tensor<double> t({4, 2}, {1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0});
  const auto metrics = task.measure(task.observe(z, values(t)), 4);
  CHECK(metrics[0] == Approx(2.0 * 2.0 / (5.0 + 4.0)));  // 2 of 5 found are right, of 4 there are
  // Label 0: 2 and -2 against -1 and 1: 2 of 4 pairs. Label 1: -1 and 1 against 1 and 1: two ties.
  CHECK(metrics[1] == Approx(0.5 * (2.0 / 4.0 + 1.0 / 4.0)));
  CHECK(item(task.loss(Variable<double>(z), values(t))) ==
        Approx(item(binary_cross_entropy(Variable<double>(z), t))));
}

TEST_CASE("multilabel: labels that all or none have, and outputs that are not finite") {
  const train::MultiLabel task;
  const Tensor<double> z({2, 2}, {1.0, -3.0, 2.0, -1.0}), t({2, 2}, {0.0, 1.0, 1.0, 1.0}),
      none({2, 1}, {0.0, 0.0});
  CHECK(task.measure(task.observe(z, values(t)), 2)[1] == 1.0);  // of label 0 alone
  const Tensor<double> low({2, 1}, {-1.0, -2.0});
  CHECK(task.measure(task.observe(low, values(none)), 2) == std::vector<double>{1.0, 0.5});
  const Tensor<double> nan({2, 1}, {-1.0, std::nan("")});
  CHECK(std::isnan(task.measure(task.observe(nan, values(none)), 2)[1]));
}

TEST_CASE("tasks: the area under the curve equals the count over all pairs") {
  rng::Stream random(4);
  std::vector<std::pair<double, bool>> scored;
  for (int i = 0; i < 200; ++i)
    scored.emplace_back(static_cast<double>(random.below(20)), random.below(3) == 0);
  double wins = 0.0, pairs = 0.0;
  for (const auto& [high, with] : scored)
    for (const auto& [low, has] : scored)
      if (with && !has) ++pairs, wins += high > low ? 1.0 : high == low ? 0.5 : 0.0;
  CHECK(train::detail::area_under_curve(scored) == Approx(wins / pairs));
}

TEST_CASE("tasks: targets of another kind are refused by name") {
  const data::Dataset classes = rows(data::Labels{0, 0}), numbers = rows(data::Numbers{2, {1, 2, 3, 4}}),
                      flags = rows(data::Flags{3, {0, 1, 0, 1, 0, 1}});
  CHECK(train::Regression{}.outputs(numbers) == 2);
  CHECK(train::MultiLabel{}.outputs(flags) == 3);
  CHECK_THROWS_WITH(train::Regression{}.outputs(classes),
                    "regression: rows: expected numbers as targets, got classes");
  CHECK_THROWS_WITH(train::MultiLabel{}.outputs(numbers),
                    "multilabel: rows: expected labels of which several hold as targets, got numbers");
  CHECK_THROWS_WITH(train::Classification{}.outputs(flags),
                    "classification: rows: expected classes as targets, got labels of which several hold");
  CHECK(train::task_names() ==
        std::vector<std::string>{"classification", "regression", "multilabel", "next_token"});
  CHECK(train::make_task<float>("regression").metrics[0].name == "mae");
  CHECK_THROWS_WITH(train::make_task<float>("regresion"),
                    "task: unknown name 'regresion', did you mean 'regression'?");
}

TEST_CASE("evaluate: a task's metrics are of the whole set, whatever the threads and batches") {
  rng::Stream random(1);
  data::Dataset set{.name = "flags", .sample = {3}};
  std::vector<float> features(3 * 50);
  for (float& x : features) x = static_cast<float>(random.normal());
  data::Flags flags{.width = 2};
  for (int i = 0; i < 100; ++i) flags.values.push_back(static_cast<std::uint8_t>(random.below(2)));
  set.features = features;
  set.targets = flags;
  auto model = nn::mlp<float>({.channels = 3, .height = 1, .width = 1, .classes = 2});
  WorkerPool one(1), three(3);
  const auto a = train::evaluate(model, set, one, train::MultiLabel{}, 7),
             b = train::evaluate(model, set, three, train::MultiLabel{}, 7),
             whole = train::evaluate(model, set, one, train::MultiLabel{});
  CHECK(a.metrics == b.metrics);
  CHECK(a.loss == b.loss);
  CHECK(a.metrics[0] == whole.metrics[0]);
  CHECK(std::isnan(a.accuracy));
  const Tensor<float> y = train::predict(model, set, three, train::MultiLabel{}, 7);
  CHECK(y.shape() == Shape{50, 2});
  const auto batch = data::gather<float>(set, std::vector<Index>{49});
  CHECK(y.data()[98] == Approx(model(Variable<float>(batch.inputs)).value().data()[0]).epsilon(1e-5));
  CHECK_THROWS_AS(train::evaluate(model, set, one), ConfigError);
}

TEST_CASE("predict: sequences without tokens have no rows") {
  data::Dataset set{.name = "gaps", .classes = 5, .starts = {0, 0, 3}};
  set.features = std::vector<std::int32_t>{1, 2, 3};
  set.targets = data::TokenLabels{{2, 3, 4}};
  set.check();
  auto model = nn::char_transformer<float>(
      {.vocabulary = 5, .positions = 4, .width = 8, .layers = 1, .heads = 2, .feed_forward = 8});
  WorkerPool pool(1);
  CHECK(train::predict(model, set, pool, train::NextToken{}, 1).shape() == Shape{3, 2});
}
