#pragma once
// Task: the next token of a sequence, for each of its tokens.

#include <array>
#include <cmath>
#include <limits>

#include <loru/train/task.hpp>

namespace loru::inline LORU_ISA::train {

/// Targets are the next tokens, −1 where there is none. Outputs are loss and hit of each token (M, 2),
/// which a decoder's head gives where the pass has targets, so that all logits are never held. The loss is
/// the mean over the tokens that have a target; perplexity is e to its power over the data set, and
/// accuracy the share of those whose largest logit is the target's.
struct NextToken {
  static constexpr std::string_view name = "next_token";
  static constexpr std::array metrics{Metric{"perplexity", false}, Metric{"accuracy"}};

  Index outputs(const data::Dataset& dataset) const {
    require<ConfigError>(std::holds_alternative<data::TokenLabels>(dataset.targets) && dataset.sequences(),
                         name, ": ", dataset.name, ": expected classes of tokens as targets, got ",
                         data::kind_of(dataset.targets));
    return dataset.classes;
  }

  template <class T, class D>
  Variable<T, D> forward(nn::Model<T, D>& model, const data::Batch<T, D>& batch, const nn::Pass& pass) const {
    const Variable<T, D> values = forward_batch(model, batch, pass, batch.labels);
    require<ConfigError>(values.shape() == Shape{batch.labels.size(), 2}, name,
                         ": expected a decoder that gives the losses of ", batch.labels.size(),
                         " tokens, got outputs of shape ", values.shape());
    return values;
  }

  template <class T, class D>
  Variable<T, D> loss(const Variable<T, D>& values, const data::Batch<T, D>& batch) const {
    const Tensor<std::int32_t> targets = to_host(batch.labels);
    const double share = 1.0 / std::max(1.0, counted(targets));
    Tensor<T> weights(values.shape());
    for (Index i = 0; i < targets.size(); ++i) {
      weights.data()[2 * i] = T(static_cast<Real<T>>(targets.data()[i] == no_target ? 0.0 : share));
      weights.data()[2 * i + 1] = T(0);
    }
    return sum(multiply(values, Variable<T, D>(to_device<D>(weights))));
  }

  /// {sum of the losses, hits, tokens with a target}
  template <class T, class D>
  std::vector<double> observe(const Tensor<T, D>& values, const data::Batch<T, D>& batch) const {
    const Tensor<T> host = to_host(values);
    double losses = 0.0, hits = 0.0;
    for (Index i = 0; i < host.dim(0); ++i) {
      losses += static_cast<double>(value_of(host.data()[2 * i]));
      hits += static_cast<double>(value_of(host.data()[2 * i + 1]));
    }
    return {losses, hits, counted(to_host(batch.labels))};
  }

  /// Not a number without a target.
  std::vector<double> measure(std::span<const double> observed, Index) const {
    double losses = 0.0, hits = 0.0, tokens = 0.0;
    for (std::size_t i = 0; i + 2 < observed.size(); i += 3) {
      losses += observed[i];
      hits += observed[i + 1];
      tokens += observed[i + 2];
    }
    if (tokens == 0.0) return std::vector<double>(2, std::numeric_limits<double>::quiet_NaN());
    return {std::exp(losses / tokens), hits / tokens};
  }

 private:
  static double counted(const Tensor<std::int32_t>& targets) {
    double count = 0.0;
    for (const std::int32_t target : targets.span()) count += target != no_target;
    return count;
  }
};

}  // namespace loru::inline LORU_ISA::train
