#pragma once
// Task: labels of which several may hold for a sample.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include <loru/train/task.hpp>

namespace loru::inline LORU_ISA::train {

namespace detail {

/// The chance that a sample that has the label scores above one that has not, ties counting half: the area
/// under the ROC curve by ranks (Mann and Whitney). 0.5 if one of the two kinds is missing.
inline double area_under_curve(std::vector<std::pair<double, bool>> scored) {
  std::sort(scored.begin(), scored.end());
  double below = 0.0, wins = 0.0, with = 0.0;
  for (std::size_t first = 0, last = 0; first < scored.size(); first = last) {
    double ties = 0.0, held = 0.0;
    for (; last < scored.size() && scored[last].first == scored[first].first; ++last)
      ++(scored[last].second ? held : ties);
    wins += held * (below + 0.5 * ties);
    below += ties;
    with += held;
  }
  return with > 0.0 && below > 0.0 ? wins / (with * below) : 0.5;
}

}  // namespace detail

/// Outputs are logits (N, k); the loss is the mean binary cross-entropy over all of them, and a label is
/// predicted where its logit is above 0. f1 is the micro mean: 2·TP / (2·TP + FP + FN) over all N·k answers,
/// 1 if there is nothing to find and nothing was found. auc is the macro mean over the labels of the area
/// under the ROC curve; labels that all or none of the samples have are left out, and it is 0.5 if that
/// leaves none.
struct MultiLabel {
  static constexpr std::string_view name = "multilabel";
  static constexpr std::array metrics{Metric{"f1"}, Metric{"auc"}};

  Index outputs(const data::Dataset& dataset) const {
    require<ConfigError>(std::holds_alternative<data::Flags>(dataset.targets), name, ": ", dataset.name,
                         ": expected labels of which several hold as targets, got ",
                         data::kind_of(dataset.targets));
    return data::width_of(dataset.targets);
  }

  template <class T, class D>
  Variable<T, D> loss(const Variable<T, D>& z, const data::Batch<T, D>& batch) const {
    return binary_cross_entropy(z, batch.values);
  }

  /// Logits and targets in turn, sample by sample.
  template <class T, class D>
  std::vector<double> observe(const Tensor<T, D>& z, const data::Batch<T, D>& batch) const {
    return detail::pairs(z, batch.values);
  }

  std::vector<double> measure(std::span<const double> pairs, Index samples) const {
    const std::size_t n = pairs.size() / 2, k = n / static_cast<std::size_t>(samples);
    for (const double x : pairs)
      if (!std::isfinite(x)) return std::vector<double>(2, std::numeric_limits<double>::quiet_NaN());
    double hits = 0.0, answers = 0.0, areas = 0.0, counted = 0.0;
    for (std::size_t j = 0; j < k; ++j) {
      std::vector<std::pair<double, bool>> scored;
      for (std::size_t i = j; i < n; i += k) scored.emplace_back(pairs[2 * i], pairs[2 * i + 1] > 0.5);
      double held = 0.0;
      for (const auto& [score, has] : scored) {
        hits += score > 0.0 && has;
        answers += (score > 0.0 ? 1.0 : 0.0) + (has ? 1.0 : 0.0);
        held += has;
      }
      if (held == 0.0 || held == static_cast<double>(samples)) continue;
      areas += detail::area_under_curve(std::move(scored));
      ++counted;
    }
    return {answers > 0.0 ? 2.0 * hits / answers : 1.0, counted > 0.0 ? areas / counted : 0.5};
  }
};

}  // namespace loru::inline LORU_ISA::train
