#pragma once
// The weighted mean of a cohort's updates, summed exactly.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/cpu/reduce.hpp>
#include <loru/fl/message/head.hpp>
#include <loru/fl/server/exact_sum.hpp>

namespace loru::inline LORU_ISA::fl {

/// Σ n_k·x_k / Σ n_k for every tensor of the state. Nothing is rounded before the division, so that the bits
/// do not depend on the order of the updates, nor on how partial sums were joined; equal updates have their
/// own value as mean. For speed sums are formed of up to eight updates at a time, whose tensors are held
/// until then, by their shared owners. Source: McMahan et al., arXiv 1602.05629.
template <class T>
class Average {
 public:
  static constexpr Index block = 8;
  /// Updates that can be summed; the loss is a double.
  static constexpr Index most_updates = ExactSums<double>::most_terms;

  /// Chooses tensors of an update by name. Empty: all of them.
  using Names = std::function<bool(const std::string&)>;

  /// Throws DataError if the update's chosen tensors are others than the first one's, its samples are 2²⁹ or
  /// more or most_updates were added, DivergedError if a value is not finite or leaves the range of the sum;
  /// it is then left out as a whole. Tensors that are not chosen have no mean.
  void add(const Update& update, const Names& names = {}) {
    const double bound = check(update, names);
    for (const auto& [name, raw] : update.state.tensors()) {
      if (!chosen(names, name)) continue;
      Sum& sum = sums_[name];
      if (added_ == 0) sum = {raw.shape, ExactSums<T>(raw.shape.size()), {}};
      sum.open.push_back(raw);
    }
    counts_.push_back(update.samples);
    if (std::ssize(counts_) == block) close_block();
    loss_.add(update.samples, std::as_bytes(std::span(&update.loss, 1)).data(), 0, 1);
    samples_ += update.samples;
    bound_ += bound;
    ++added_;
  }

  /// Throws what add(update, names) would throw. Returns the largest n·|x| of the chosen tensors.
  double check(const Update& update, const Names& names) const {
    const Index client = update.head.client;
    const auto& tensors = update.state.tensors();
    const auto count = std::ranges::count_if(tensors, [&](const auto& t) { return chosen(names, t.first); });
    require<DataError>(update.samples <= ExactSums<T>::most_count, "aggregate: update of client ", client,
                       ": expected at most ", ExactSums<T>::most_count, " samples, got ", update.samples);
    require_room(1);
    require<DataError>(added_ == 0 || count == std::ssize(sums_), "aggregate: update of client ", client,
                       ": expected ", sums_.size(), " tensors, got ", count);
    double bound = check_range(update, "loss", std::abs(update.loss));
    for (const auto& [name, raw] : tensors) {
      require<DataError>(raw.dtype == io::dtype_of<T>, update.state.origin(), ": tensor ", name,
                         ": expected dtype ", io::to_string(io::dtype_of<T>), ", got ",
                         io::to_string(raw.dtype));
      if (added_ > 0 && chosen(names, name)) {
        const auto sum = sums_.find(name);
        require<DataError>(sum != sums_.end(), "aggregate: update of client ", client, ": unexpected tensor ",
                           name);
        require<DataError>(raw.shape == sum->second.shape, update.state.origin(), ": tensor ", name,
                           ": expected shape ", sum->second.shape, ", got ", raw.shape);
      }
      const T largest = cpu::largest_magnitude<T>(raw.bytes.data(), raw.shape.size());
      require<DivergedError>(std::isfinite(largest), "round ", update.head.round, ", client ", client, ": ",
                             name, " is not finite after training");
      if (chosen(names, name)) bound = std::max(bound, check_range(update, name, largest));
    }
    return bound;
  }

  /// Adds what another mean of the same tensors has summed. Throws DataError for other tensors and for more
  /// than most_updates in all, DivergedError if the sum leaves its range.
  void add(Average other) {
    if (other.added_ == 0) return;
    if (added_ == 0) return void(*this = std::move(other));
    require_room(other.added_);
    close_block();
    other.close_block();
    require<DivergedError>(bound_ + other.bound_ < ExactSums<T>::most_sum,
                           "aggregate: expected sums below 2^56, got ", bound_ + other.bound_);
    require<DataError>(std::ranges::equal(sums_, other.sums_, {}, shape_of, shape_of),
                       "aggregate: expected sums of the same tensors");
    for (auto& [name, sum] : sums_) sum.total.add(other.sums_.at(name).total);
    loss_.add(other.loss_);
    samples_ += other.samples_;
    bound_ += other.bound_;
    added_ += other.added_;
  }

  Index updates() const { return added_; }
  Index samples() const { return samples_; }
  /// Mean training loss of the cohort, by samples.
  double loss() const {
    double mean = 0.0;
    loss_.divide(static_cast<double>(samples_), &mean);
    return mean;
  }

  /// The mean as an archive. Throws Error if nothing was added.
  io::Archive result() {
    require<Error>(added_ > 0, "aggregate: expected at least one update");
    close_block();
    io::Archive mean("aggregate");
    for (const auto& [name, sum] : sums_) {
      Tensor<T> value(sum.shape);
      sum.total.divide(static_cast<double>(samples_), value.data());
      mean.share(name, value);
    }
    return mean;
  }

 private:
  struct Sum {
    Shape shape{};
    ExactSums<T> total{};                  ///< of the closed blocks
    std::vector<io::RawTensor> open = {};  ///< of the updates of the block that is not closed yet
  };

  static std::pair<std::string, Shape> shape_of(const std::pair<const std::string, Sum>& sum) {
    return {sum.first, sum.second.shape};
  }

  static bool chosen(const Names& names, const std::string& name) { return !names || names(name); }

  void require_room(Index more) const {
    require<DataError>(added_ <= most_updates - more, "aggregate: expected at most ", most_updates,
                       " updates, got ", added_, " and ", more, " more");
  }

  double check_range(const Update& update, std::string_view name, double largest) const {
    const double term = static_cast<double>(update.samples) * largest;
    require<DivergedError>(term < ExactSums<T>::most_term && bound_ + term < ExactSums<T>::most_sum, "round ",
                           update.head.round, ", client ", update.head.client, ": ", name,
                           ": expected samples times values below 2^45, got ", update.samples, " times ",
                           largest);
    return term;
  }

  /// total += Σ_k n_k·x_k over the open block, piece by piece, so that the sums stay near the core while the
  /// updates are read.
  void close_block() {
    constexpr Index piece = 1024;
    for (auto& [name, sum] : sums_) {
      for (Index first = 0; first < sum.total.size(); first += piece)
        for (std::size_t k = 0; k < counts_.size(); ++k)
          sum.total.add(counts_[k], sum.open[k].bytes.data() + first * static_cast<Index>(sizeof(T)), first,
                        std::min(piece, sum.total.size() - first));
      sum.open.clear();
    }
    counts_.clear();
  }

  std::map<std::string, Sum> sums_;
  std::vector<Index> counts_;  // samples of the open block's updates
  ExactSums<double> loss_{1};
  Index added_ = 0, samples_ = 0;
  double bound_ = 0.0;  // of Σ n·|x|
};

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_AGGREGATE(TEMPLATE, T) TEMPLATE class Average<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_AGGREGATE(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
