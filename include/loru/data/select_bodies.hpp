#pragma once
// Bodies of select.hpp: samples of a data set, a validation set, and statistics.

#include <cmath>

#include <loru/core/fields.hpp>
#include <loru/core/rng.hpp>
#include <loru/data/select.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

inline Targets select_targets(const Dataset& from, std::span<const Index> samples,
                              std::span<const Index> tokens) {
  if (const auto* numbers = std::get_if<Numbers>(&from.targets))
    return Numbers{numbers->width, rows_of(numbers->values, numbers->width, samples)};
  if (const auto* flags = std::get_if<Flags>(&from.targets))
    return Flags{flags->width, rows_of(flags->values, flags->width, samples)};
  if (const auto* labels = std::get_if<TokenLabels>(&from.targets))
    return TokenLabels{rows_of(labels->values, 1, tokens)};
  return rows_of(from.labels(), 1, samples);
}

LORU_INLINE std::vector<Index> tokens_of(const Dataset& from, std::span<const Index> samples) {
  std::vector<Index> tokens;
  for (const Index i : samples)
    for (Index t = from.starts[static_cast<std::size_t>(i)]; t < from.starts[static_cast<std::size_t>(i) + 1];
         ++t)
      tokens.push_back(t);
  return tokens;
}

LORU_INLINE std::vector<Index> starts_of(const Dataset& from, std::span<const Index> samples) {
  std::vector<Index> starts{0};
  for (const Index i : samples)
    starts.push_back(starts.back() + from.starts[static_cast<std::size_t>(i) + 1] -
                     from.starts[static_cast<std::size_t>(i)]);
  return starts;
}

}  // namespace detail

LORU_INLINE Dataset select(const Dataset& from, std::span<const Index> samples) {
  Dataset out{from.name, from.sample, from.classes, {}, {}, {}, from.normalisation};
  std::vector<Index> tokens;
  if (from.sequences()) {
    tokens = detail::tokens_of(from, samples);
    out.starts = detail::starts_of(from, samples);
    out.vocabulary = from.vocabulary;
  }
  std::visit(
      [&](const auto& values) {
        out.features = from.sequences() ? detail::rows_of(values, 1, tokens)
                                        : detail::rows_of(values, from.sample.size(), samples);
      },
      from.features);
  out.targets = detail::select_targets(from, samples, tokens);
  if (!from.groups.empty()) out.groups = detail::rows_of(from.groups, 1, samples);
  return out;
}

LORU_INLINE Split hold_out(Split split, double share, std::uint64_t seed) {
  require<ConfigError>(range::below_one.holds(share), "data.validation: expected ", text(range::below_one),
                       ", got ", share);
  if (share == 0.0) return split;
  const Index samples = split.train.size();
  const auto count = static_cast<Index>(std::llround(share * static_cast<double>(samples)));
  require<ConfigError>(count > 0 && count < samples, "data.validation: expected a share that leaves samples",
                       " to train on and to validate on, got ", share, ", which is ", count, " of ", samples);
  std::vector<bool> held(static_cast<std::size_t>(samples));
  rng::Stream stream(seed, rng::Purpose::validation);
  for (const Index i : stream.sample(samples, count)) held[static_cast<std::size_t>(i)] = true;
  std::vector<Index> kept, taken;
  for (Index i = 0; i < samples; ++i) (held[static_cast<std::size_t>(i)] ? taken : kept).push_back(i);
  split.validation = select(split.train, taken);
  split.train = select(split.train, kept);
  return split;
}

LORU_INLINE Normalisation measure(const Dataset& dataset, double unit) {
  const Index channels = dataset.channels(), plane = channels > 0 ? dataset.sample.size() / channels : 0;
  const auto count = static_cast<double>(dataset.size() * plane);
  Normalisation result{unit, {}, {}};
  for (Index c = 0; c < channels; ++c) {
    double sum = 0.0, squares = 0.0;
    std::visit(
        [&](const auto& values) {
          for (Index i = 0; i < dataset.size(); ++i) {
            const auto* raw = values.data() + (i * channels + c) * plane;
            for (Index p = 0; p < plane; ++p) {
              const auto x = static_cast<double>(raw[p]);
              sum += x;
              squares += x * x;
            }
          }
        },
        dataset.features);
    const double mean = count > 0 ? sum / count : 0.0;
    const double variance = count > 0 ? squares / count - mean * mean : 0.0;
    result.mean.push_back(mean * unit);
    result.deviation.push_back(variance > 0.0 ? std::sqrt(variance) * unit : 1.0);
  }
  return result;
}

}  // namespace loru::inline LORU_ISA::data
