#pragma once
// Bodies of dataset.hpp: checks of data sets.

#include <cmath>

#include <loru/data/dataset.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// Throws DataError for the first of (N, width) values that is not good(value).
template <class Values, class Good>
void check_each(const Dataset& set, const Values& values, Index width, const Good& good,
                const std::string& expected) {
  for (std::size_t i = 0; i < values.size(); ++i)
    require<DataError>(good(values[i]), set.name, ": sample ", static_cast<Index>(i) / width, ": expected ",
                       expected, ", got ", +values[i]);
}

inline void check_features(const Dataset& set) {
  const Shape& sample = set.sample;
  const bool tokens = std::holds_alternative<std::vector<std::int32_t>>(set.features);
  const auto count = std::visit([](const auto& all) { return static_cast<Index>(all.size()); }, set.features);
  require<DataError>(tokens == set.sequences(), set.name,
                     ": expected tokens with the starts of sequences, or neither");
  if (tokens) {
    require<DataError>(sample.rank() == 0, set.name, ": expected no shape for sequences, got ", sample);
    require<DataError>(set.starts.front() == 0 && set.starts.back() == count, set.name,
                       ": expected starts from 0 to the ", count, " tokens, got ", set.starts.front(), " to ",
                       set.starts.back());
    for (std::size_t i = 1; i < set.starts.size(); ++i)
      require<DataError>(set.starts[i - 1] <= set.starts[i], set.name, ": sample ", i - 1,
                         ": expected an end at or after ", set.starts[i - 1], ", got ", set.starts[i]);
    const auto& ids = std::get<std::vector<std::int32_t>>(set.features);
    for (std::size_t i = 0; set.vocabulary > 0 && i < ids.size(); ++i)
      require<DataError>(ids[i] >= 0 && ids[i] < set.vocabulary, set.name, ": token ", i,
                         ": expected an id in [0, ", set.vocabulary, "), got ", ids[i]);
    return;
  }
  require<DataError>(sample.rank() == 3 || sample.rank() == 1, set.name,
                     ": expected samples of shape (C, H, W) or (n), got ", sample);
  require<DataError>(count == set.size() * sample.size(), set.name, ": expected ", set.size() * sample.size(),
                     " features for ", set.size(), " samples of shape ", sample, ", got ", count);
  if (const auto* floats = std::get_if<std::vector<float>>(&set.features))
    check_each(set, *floats, sample.size(), [](float x) { return std::isfinite(x); }, "finite features");
}

inline void check_targets(const Dataset& set) {
  const auto in_range = [&](std::int32_t label) { return label >= 0 && label < set.classes; };
  const std::string label = concat("a label in [0, ", set.classes, ")");
  const auto whole = [&](std::size_t count, Index width) {
    require<DataError>(width >= 1 && static_cast<Index>(count) == set.size() * width, set.name, ": expected ",
                       set.size() * width, " targets for ", set.size(), " samples, got ", count);
  };
  if (const auto* numbers = std::get_if<Numbers>(&set.targets)) {
    whole(numbers->values.size(), numbers->width);
    check_each(
        set, numbers->values, numbers->width, [](float x) { return std::isfinite(x); }, "finite targets");
  } else if (const auto* flags = std::get_if<Flags>(&set.targets)) {
    whole(flags->values.size(), flags->width);
    check_each(set, flags->values, flags->width, [](std::uint8_t x) { return x <= 1; }, "labels of 0 or 1");
  } else if (const auto* tokens = std::get_if<TokenLabels>(&set.targets)) {
    require<DataError>(set.sequences() && static_cast<Index>(tokens->values.size()) == set.starts.back(),
                       set.name, ": expected a target for each token of sequences, got ",
                       tokens->values.size());
    for (const std::int32_t x : tokens->values)
      require<DataError>(in_range(x), set.name, ": expected ", label, ", got ", x);
  } else {
    whole(set.labels().size(), 1);
    check_each(set, set.labels(), 1, in_range, label);
  }
}

}  // namespace detail

LORU_INLINE void Dataset::check() const {
  detail::check_features(*this);
  require<DataError>(groups.empty() || static_cast<Index>(groups.size()) == size(), name, ": expected ",
                     size(), " groups, one for each sample, got ", groups.size());
  const std::size_t count = normalisation.mean.size();
  require<DataError>((count == 0 || count == static_cast<std::size_t>(channels())) &&
                         normalisation.deviation.size() == count,
                     name, ": expected a mean and a deviation for each of ", channels(), " channels, got ",
                     count, " and ", normalisation.deviation.size());
  detail::check_targets(*this);
}

}  // namespace loru::inline LORU_ISA::data
