// A task of one's own: the median instead of the mean. The pinball loss max(q·e, (q − 1)·e), e = t − y, is
// least where a share q of the targets lies below y; the metric is that share, which must come out at q on
// digits never seen.

#include <cmath>
#include <cstdio>
#include <loru/data/digits.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/train/train.hpp>

using namespace loru;

namespace {

/// Models with one output: the quantile q of what the targets may be.
struct Quantile {
  double q = 0.5;

  static constexpr std::string_view name = "quantile";
  static constexpr std::array metrics{train::Metric{"below", true}};

  Index outputs(const data::Dataset& dataset) const {
    require<ConfigError>(std::holds_alternative<data::Numbers>(dataset.targets), name, ": ", dataset.name,
                         ": expected numbers as targets, got ", data::kind_of(dataset.targets));
    return data::width_of(dataset.targets);
  }

  /// Mean of q·e + relu(−e): the pinball loss, made of ops that know their gradients.
  template <class T, class D>
  Variable<T, D> loss(const Variable<T, D>& y, const data::Batch<T, D>& batch) const {
    const Variable<T, D> target(batch.values), e = add(target, scale(y, T(-1)));
    const Variable<T, D> all = add(scale(e, static_cast<T>(q)), relu(scale(e, T(-1))));
    return scale(sum(all), T(1) / static_cast<T>(batch.values.size()));
  }

  /// {targets below the output}
  template <class T, class D>
  std::vector<double> observe(const Tensor<T, D>& y, const data::Batch<T, D>& batch) const {
    const Tensor<T> output = to_host(y), target = to_host(batch.values);
    double below = 0.0;
    for (Index i = 0; i < output.size(); ++i) below += target.data()[i] < output.data()[i];
    return {below};
  }

  std::vector<double> measure(std::span<const double> below, Index samples) const {
    return {std::accumulate(below.begin(), below.end(), 0.0) / static_cast<double>(samples)};
  }
};

/// The digits with their mean ink as the number to guess; the last two rows of pixels are wiped out.
data::Dataset wiped(data::Dataset digits) {
  data::Numbers ink;
  auto& pixels = std::get<std::vector<std::uint8_t>>(digits.features);
  for (auto image = pixels.begin(); image != pixels.end(); image += 64) {
    ink.values.push_back(static_cast<float>(std::accumulate(image, image + 64, 0)) / 64.0f);
    std::fill(image + 48, image + 64, std::uint8_t{0});
  }
  digits.targets = std::move(ink);
  return digits;
}

}  // namespace

int main() {
  const data::Split digits = data::digits();
  const data::Dataset training = wiped(digits.train), test = wiped(digits.test);
  WorkerPool pool(2);
  double worst = 0.0;
  for (const double q : {0.1, 0.5, 0.9}) {
    auto model = nn::mlp<float>({.height = 8, .width = 8, .classes = 1});
    train::fit(model, training, {.epochs = 80, .optimizer = {.learning_rate = 0.0005, .momentum = 0.9}},
               Quantile{q});
    const auto result = train::evaluate(model, test, pool, Quantile{q});
    std::printf("q = %.1f  loss %.4f  below the output: %.3f\n", q, result.loss, result.metrics[0]);
    worst = std::max(worst, std::abs(result.metrics[0] - q));
  }
  return worst < 0.1 ? 0 : 1;
}
