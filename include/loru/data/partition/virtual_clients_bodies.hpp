#pragma once
// Bodies of virtual_clients.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>

#include <loru/data/partition/virtual_clients.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// The samples of a data set by class, and how clients draw from them.
class VirtualSource final : public Partition::Source {
 public:
  VirtualSource(const Dataset& dataset, const VirtualOptions& options) : o_{options} {
    order_.resize(static_cast<std::size_t>(dataset.size()));
    std::iota(order_.begin(), order_.end(), std::uint32_t{0});
    if (o_.alpha > 0.0) {
      const Labels& labels = require_labels("virtual", dataset);
      std::stable_sort(order_.begin(), order_.end(),
                       [&](std::uint32_t i, std::uint32_t j) { return labels[i] < labels[j]; });
      for (std::size_t i = 1; i < order_.size(); ++i)
        if (labels[order_[i]] != labels[order_[i - 1]]) ends_.push_back(static_cast<Index>(i));
    }
    ends_.push_back(std::ssize(order_));
  }

  Index clients() const override { return o_.clients; }
  Index size(Index) const override { return o_.samples; }
  Index least() const override { return o_.samples; }
  Index most() const override { return o_.samples; }

  std::vector<Index> samples(Index client) const override {
    rng::Stream stream = partition_stream(o_.seed, 5, client);
    const std::vector<double> q =
        o_.alpha > 0.0 ? stream.dirichlet(std::ssize(ends_), o_.alpha) : std::vector<double>{1.0};
    std::vector<Index> drawn;
    drawn.reserve(static_cast<std::size_t>(o_.samples));
    for (Index i = 0; i < o_.samples; ++i) {
      const std::size_t c = class_at(q, stream.uniform());
      const Index begin = c == 0 ? 0 : ends_[c - 1];
      drawn.push_back(order_[static_cast<std::size_t>(begin + stream.below(ends_[c] - begin))]);
    }
    std::sort(drawn.begin(), drawn.end());
    return drawn;
  }

 private:
  /// The class in whose share of [0, 1) the point lies.
  static std::size_t class_at(const std::vector<double>& q, double point) {
    std::size_t c = 0;
    for (double end = q[0]; point >= end && c + 1 < q.size(); end += q[c]) ++c;
    return c;
  }

  VirtualOptions o_;
  std::vector<std::uint32_t> order_;  // all samples, by class if alpha > 0
  std::vector<Index> ends_;           // where the samples of each class end
};

}  // namespace detail

LORU_INLINE Partition virtual_clients(const Dataset& dataset, const VirtualOptions& options) {
  detail::check_any_clients("virtual", options.clients);
  require<ConfigError>(options.clients <= 0xffffffff, "virtual: clients: expected at most ", 0xffffffff,
                       ", got ", options.clients);
  require<ConfigError>(options.samples >= 1 && options.samples <= most_virtual_samples,
                       "virtual: samples: expected 1 .. ", most_virtual_samples, ", got ", options.samples);
  require<ConfigError>(options.alpha >= 0.0 && std::isfinite(options.alpha),
                       "virtual: alpha: expected a number of at least 0, got ", options.alpha);
  require<ConfigError>(dataset.size() >= 1 && dataset.size() <= 0xffffffff, "virtual: ", dataset.name,
                       ": expected 1 to ", 0xffffffff, " samples, got ", dataset.size());
  return Partition(std::make_shared<detail::VirtualSource>(dataset, options));
}

}  // namespace loru::inline LORU_ISA::data
