#pragma once
// The weighted mean of a cohort's updates, folded in double.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <loru/cpu/reduce.hpp>
#include <loru/fl/message/head.hpp>

namespace loru::inline LORU_ISA::fl {

/// Σ n_k·x_k / Σ n_k for every tensor of the state. Updates are added in the order of the cohort, in blocks
/// of eight whose sums are added in order, so that the bits depend on the cohort alone. The tensors of at
/// most eight updates are held, by their shared owners. Floats are summed in double, doubles in long double:
/// equal updates have their own value as mean. Source: McMahan et al., arXiv 1602.05629.
template <class T>
class Average {
 public:
  static constexpr Index block = 8;

  /// Chooses tensors of an update by name. Empty: all of them.
  using Names = std::function<bool(const std::string&)>;

  /// Throws DataError if the update's chosen tensors are others than the first one's, DivergedError if any
  /// value is not finite; it is then left out as a whole. Tensors that are not chosen have no mean.
  void add(const Update& update, const Names& names = {}) {
    check(update, names);
    for (const auto& [name, raw] : update.state.tensors()) {
      if (!chosen(names, name)) continue;
      Sum& sum = sums_[name];
      if (added_ == 0) sum.total = Tensor<Wide>(raw.shape);
      sum.open.push_back(raw);
    }
    weights_.push_back(static_cast<Wide>(update.samples));
    if (std::ssize(weights_) == block) close_block();
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
      Tensor<T> value(sum.total.shape());
      divide(std::as_const(sum.total).data(), static_cast<Wide>(samples_), value.size(), value.data());
      require<DivergedError>(all_finite(value), "aggregate: ", name, " is not finite after averaging ",
                             added_, " updates");
      mean.share(name, value);
    }
    return mean;
  }

 private:
  using Wide = std::conditional_t<std::is_same_v<T, float>, double, long double>;
  struct Sum {
    Tensor<Wide> total;               ///< of the closed blocks; not yet set before the first
    std::vector<io::RawTensor> open;  ///< of the updates of the block that is not closed yet
  };

  static bool chosen(const Names& names, const std::string& name) { return !names || names(name); }

  void check(const Update& update, const Names& names) const {
    const Index client = update.head.client;
    const auto& tensors = update.state.tensors();
    const auto count = std::ranges::count_if(tensors, [&](const auto& t) { return chosen(names, t.first); });
    require<DataError>(added_ == 0 || count == std::ssize(sums_), "aggregate: update of client ", client,
                       ": expected ", sums_.size(), " tensors, got ", count);
    for (const auto& [name, raw] : tensors) {
      require<DataError>(raw.dtype == io::dtype_of<T>, update.state.origin(), ": tensor ", name,
                         ": expected dtype ", io::to_string(io::dtype_of<T>), ", got ",
                         io::to_string(raw.dtype));
      if (added_ > 0 && chosen(names, name)) {
        const auto sum = sums_.find(name);
        require<DataError>(sum != sums_.end(), "aggregate: update of client ", client, ": unexpected tensor ",
                           name);
        require<DataError>(raw.shape == sum->second.total.shape(), update.state.origin(), ": tensor ", name,
                           ": expected shape ", sum->second.total.shape(), ", got ", raw.shape);
      }
      require<DivergedError>(cpu::all_finite<T>(raw.bytes.data(), raw.shape.size()), "round ",
                             update.head.round, ", client ", client, ": ", name,
                             " is not finite after training");
    }
  }

  /// total += Σ_k weight_k·x_k over the open block, in its order. Piece by piece, so that the block's sum
  /// stays near the core while the updates are read.
  void close_block() {
    if (weights_.empty()) return;
    constexpr Index piece = 1024;
    std::array<Wide, piece> open;
    for (auto& [name, sum] : sums_) {
      Wide* total = sum.total.data();
      for (Index first = 0; first < sum.total.size(); first += piece) {
        const Index count = std::min(piece, sum.total.size() - first);
        for (std::size_t k = 0; k < weights_.size(); ++k)
          add(k == 0, count, weights_[k], sum.open[k].bytes.data() + first * static_cast<Index>(sizeof(T)),
              open.data());
        add(closed_ == 0, count, open.data(), total + first);
      }
      sum.open.clear();
    }
    weights_.clear();
    ++closed_;
  }

  /// open = weight·x for the first update of a block, open += weight·x for the others. x need not be aligned.
  static void add(bool first, Index count, Wide weight, const std::byte* x, Wide* open) {
    for (Index i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, x + i * static_cast<Index>(sizeof value), sizeof value);
      const Wide term = weight * static_cast<Wide>(value);
      open[i] = first ? term : open[i] + term;
    }
  }

  /// total = 0 + open for the first block, total += open for the others.
  static void add(bool first, Index count, const Wide* open, Wide* total) {
    for (Index i = 0; i < count; ++i) total[i] = (first ? Wide(0) : total[i]) + open[i];
  }

  /// y = x / n
  static void divide(const Wide* x, Wide n, Index count, T* y) {
    for (Index i = 0; i < count; ++i) y[i] = static_cast<T>(x[i] / n);
  }

  std::map<std::string, Sum> sums_;
  std::vector<Wide> weights_;  // of the open block's updates
  Index closed_ = 0;           // blocks
  Index added_ = 0, samples_ = 0;
  double loss_ = 0.0;
};

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_AGGREGATE(TEMPLATE, T) TEMPLATE class Average<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_AGGREGATE(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
