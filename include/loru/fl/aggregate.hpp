#pragma once
// The weighted mean of a cohort's updates, folded in double.

#include <map>

#include <loru/fl/message.hpp>

namespace loru::fl {

/// Σ n_k·x_k / Σ n_k for every tensor of the state. Updates are added in the order of the cohort, in blocks of eight
/// whose sums are added in order, so that the bits depend on the cohort alone. Source: McMahan et al.,
/// arXiv 1602.05629.
template <class T>
class Average {
 public:
  static constexpr Index block = 8;

  /// Throws DataError if the update has other tensors than the first one.
  void add(const Update& update) {
    if (added_ > 0 && added_ % block == 0) close_block();
    require<DataError>(added_ == 0 || update.state.size() == sums_.size(), "aggregate: update of client ",
                       update.head.client, ": expected ", sums_.size(), " tensors, got ",
                       update.state.size());
    for (const std::string& name : update.state.names()) add(name, update);
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
        value.data()[i] = static_cast<T>(sum.total[i] / static_cast<double>(samples_));
      require<DivergedError>(all_finite(value), "aggregate: ", name, " is not finite after averaging ",
                             added_, " updates");
      mean.share(name, value);
    }
    return mean;
  }

 private:
  struct Sum {
    Shape shape;
    std::vector<double> total, open;
  };

  void add(const std::string& name, const Update& update) {
    const Tensor<T> x = update.state.get<T>(name);
    Sum& sum = sums_[name];
    if (added_ == 0) {
      const auto size = static_cast<std::size_t>(x.size());
      sum = {x.shape(), std::vector<double>(size), std::vector<double>(size)};
    }
    require<DataError>(sum.shape == x.shape(), "aggregate: ", name, " of client ", update.head.client,
                       ": expected shape ", sum.shape, ", got ", x.shape());
    const auto weight = static_cast<double>(update.samples);
    for (std::size_t i = 0; i < sum.open.size(); ++i)
      sum.open[i] += weight * static_cast<double>(x.data()[i]);
  }

  void close_block() {
    for (auto& [name, sum] : sums_)
      for (std::size_t i = 0; i < sum.total.size(); ++i) {
        sum.total[i] += sum.open[i];
        sum.open[i] = 0.0;
      }
  }

  std::map<std::string, Sum> sums_;
  Index added_ = 0, samples_ = 0;
  double loss_ = 0.0;
};

}  // namespace loru::fl
