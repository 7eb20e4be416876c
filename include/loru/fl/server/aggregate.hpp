#pragma once
// The weighted mean of a cohort's updates, folded in double.

#include <algorithm>
#include <iterator>
#include <map>
#include <type_traits>

#include <loru/fl/message/message.hpp>

namespace loru::inline LORU_ISA::fl {

/// Σ n_k·x_k / Σ n_k for every tensor of the state. Updates are added in the order of the cohort, in blocks of eight
/// whose sums are added in order, so that the bits depend on the cohort alone. Floats are summed in double, doubles in
/// long double: equal updates have their own value as mean. Source: McMahan et al., arXiv 1602.05629.
template <class T>
class Average {
 public:
  static constexpr Index block = 8;

  /// Throws DataError if the update's chosen tensors are others than the first one's, DivergedError if any value is not
  /// finite; it is then left out as a whole. Tensors that are not chosen have no mean.
  void add(const Update& update, const Selection& selection = {}) {
    const std::vector<Tensor<T>> values = checked(update, selection);
    if (added_ > 0 && added_ % block == 0) close_block();
    auto value = values.begin();
    for (const auto& [name, raw] : update.state.tensors())
      if (chosen(selection, name)) add(sums_[name], *value++, static_cast<Wide>(update.samples));
    samples_ += update.samples;
    loss_ += static_cast<double>(update.samples) * update.loss;
    ++added_;
  }

  Index updates() const { return added_; }
  Index samples() const { return samples_; }
  /// Mean training loss of the cohort, by samples.
  double loss() const { return loss_ / static_cast<double>(samples_); }

  /// The mean as an archive. Throws Error if nothing was added, DivergedError if a value is not finite.
  io::Archive result() {
    require<Error>(added_ > 0, "aggregate: expected at least one update");
    close_block();
    io::Archive mean("aggregate");
    for (auto& [name, sum] : sums_) {
      Tensor<T> value(sum.shape);
      for (std::size_t i = 0; i < sum.total.size(); ++i)
        value.data()[i] = static_cast<T>(sum.total[i] / static_cast<Wide>(samples_));
      require<DivergedError>(all_finite(value), "aggregate: ", name, " is not finite after averaging ",
                             added_, " updates");
      mean.share(name, value);
    }
    return mean;
  }

 private:
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;
  struct Sum {
    Shape shape;
    std::vector<Wide> total, open;
  };

  /// The chosen tensors of the update, in name order.
  std::vector<Tensor<T>> checked(const Update& update, const Selection& selection) const {
    const Index client = update.head.client;
    const auto count = std::count_if(update.state.tensors().begin(), update.state.tensors().end(),
                                     [&](const auto& entry) { return chosen(selection, entry.first); });
    require<DataError>(added_ == 0 || count == std::ssize(sums_), "aggregate: update of client ", client,
                       ": expected ", sums_.size(), " tensors, got ", count);
    std::vector<Tensor<T>> values;
    for (const auto& [name, raw] : update.state.tensors()) {
      const bool wanted = chosen(selection, name);
      const auto sum = sums_.find(name);
      require<DataError>(added_ == 0 || !wanted || sum != sums_.end(), "aggregate: update of client ", client,
                         ": unexpected tensor ", name);
      const auto value =
          added_ == 0 || !wanted ? update.state.get<T>(name) : update.state.get<T>(name, sum->second.shape);
      require<DivergedError>(all_finite(value), "round ", update.head.round, ", client ", client, ": ", name,
                             " is not finite after training");
      if (wanted) values.push_back(value);
    }
    return values;
  }

  static void add(Sum& sum, const Tensor<T>& x, Wide weight) {
    const auto size = static_cast<std::size_t>(x.size());
    if (sum.open.empty()) sum = {x.shape(), std::vector<Wide>(size), std::vector<Wide>(size)};
    for (std::size_t i = 0; i < size; ++i) sum.open[i] += weight * static_cast<Wide>(x.data()[i]);
  }

  void close_block() {
    for (auto& [name, sum] : sums_)
      for (std::size_t i = 0; i < sum.total.size(); ++i) {
        sum.total[i] += sum.open[i];
        sum.open[i] = Wide(0);
      }
  }

  std::map<std::string, Sum> sums_;
  Index added_ = 0, samples_ = 0;
  double loss_ = 0.0;
};

#ifdef LORU_COMPILED
extern template class Average<float>;
#endif

}  // namespace loru::fl
