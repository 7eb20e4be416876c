#pragma once
// Task: numbers for each sample.

#include <array>
#include <cmath>

#include <loru/train/task.hpp>

namespace loru::inline LORU_ISA::train {

/// Outputs (N, k) are the numbers themselves; the loss is the mean squared error over all of them. Over all
/// N·k numbers mae = mean |y − t|; r2 = 1 − Σ (y − t)² / Σ (t − t̄_j)², t̄_j the mean of number j over the
/// samples (1 is perfect, 0 is what the means alone give); r2 is 0 where the targets are all the same.
struct Regression {
  static constexpr std::string_view name = "regression";
  static constexpr std::array metrics{Metric{"mae", false}, Metric{"r2"}};

  Index outputs(const data::Dataset& dataset) const {
    require<ConfigError>(std::holds_alternative<data::Numbers>(dataset.targets), name, ": ", dataset.name,
                         ": expected numbers as targets, got ", data::kind_of(dataset.targets));
    return data::width_of(dataset.targets);
  }

  template <class T, class D>
  Variable<T, D> loss(const Variable<T, D>& y, const data::Batch<T, D>& batch) const {
    return mean_squared_error(y, batch.values);
  }

  /// Outputs and targets in turn, sample by sample.
  template <class T, class D>
  std::vector<double> observe(const Tensor<T, D>& y, const data::Batch<T, D>& batch) const {
    return detail::pairs(y, batch.values);
  }

  std::vector<double> measure(std::span<const double> pairs, Index samples) const {
    const std::size_t n = pairs.size() / 2, k = n / static_cast<std::size_t>(samples);
    std::vector<double> means(k, 0.0);
    for (std::size_t i = 0; i < n; ++i) means[i % k] += pairs[2 * i + 1] / static_cast<double>(samples);
    double absolute = 0.0, squares = 0.0, spread = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      const double error = pairs[2 * i] - pairs[2 * i + 1], off = pairs[2 * i + 1] - means[i % k];
      absolute += std::abs(error);
      squares += error * error;
      spread += off * off;
    }
    return {absolute / static_cast<double>(n), spread > 0.0 ? 1.0 - squares / spread : 0.0};
  }
};

}  // namespace loru::inline LORU_ISA::train
