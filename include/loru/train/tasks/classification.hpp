#pragma once
// Task: one class of several for each sample.

#include <array>
#include <numeric>

#include <loru/train/task.hpp>

namespace loru::inline LORU_ISA::train {

/// Outputs are logits (N, classes). The loss is the cross-entropy; accuracy is the share of samples whose
/// largest logit (the first of equals) is the label's.
struct Classification {
  static constexpr std::string_view name = "classification";
  static constexpr std::array metrics{Metric{"accuracy"}};

  Index outputs(const data::Dataset& dataset) const {
    require<ConfigError>(std::holds_alternative<data::Labels>(dataset.targets), name, ": ", dataset.name,
                         ": expected classes as targets, got ", data::kind_of(dataset.targets));
    return dataset.classes;
  }

  template <class T, class D>
  Variable<T, D> loss(const Variable<T, D>& z, const data::Batch<T, D>& batch) const {
    return cross_entropy(z, batch.labels, batch.known_classes);
  }

  /// {correct samples}
  template <class T, class D>
  std::vector<double> observe(const Tensor<T, D>& z, const data::Batch<T, D>& batch) const {
    return {static_cast<double>(count_correct(z, batch.labels))};
  }

  std::vector<double> measure(std::span<const double> correct, Index samples) const {
    return {std::accumulate(correct.begin(), correct.end(), 0.0) / static_cast<double>(samples)};
  }
};

/// The default task.
template <class T, class D>
const Task<T, D>& classification() {
  static const Task<T, D> task{Classification{}};
  return task;
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_CLASSIFICATION(TEMPLATE, T) TEMPLATE Task<T>::Task(const Classification&);
#ifdef LORU_COMPILED
LORU_COMPILED_CLASSIFICATION(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::train
