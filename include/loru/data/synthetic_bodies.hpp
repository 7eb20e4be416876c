#pragma once
// Bodies of synthetic.hpp.

#include <algorithm>
#include <cmath>

#include <loru/core/rng.hpp>
#include <loru/data/synthetic.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// A point of the sphere of radius `separation`, uniform, for each class: (classes, features) row-major.
inline std::vector<double> synthetic_centres(const SyntheticOptions& options) {
  const Index length = options.sample.size();
  std::vector<double> centres;
  for (Index c = 0; c < options.classes; ++c) {
    rng::Stream stream{options.seed, rng::Purpose::synthetic, 0, static_cast<std::uint32_t>(c)};
    std::vector<double> direction;
    double squares = 0.0;
    for (Index f = 0; f < length; ++f) {
      direction.push_back(stream.normal());
      squares += direction.back() * direction.back();
    }
    for (double x : direction) centres.push_back(options.separation * x / std::sqrt(squares));
  }
  return centres;
}

/// Sample i is of class i % classes; its noise is a stream of its own. `half` is 1 for train, 2 for test.
inline Dataset synthetic_half(const SyntheticOptions& options, const std::vector<double>& centres,
                              Index count, std::uint32_t half) {
  const auto channels = static_cast<std::size_t>(options.sample[0]);
  const Index length = options.sample.size();
  Dataset set{"synthetic",
              options.sample,
              options.classes,
              std::vector<float>{},
              {},
              {},
              {1.0, std::vector<double>(channels, 0.0), std::vector<double>(channels, 1.0)}};
  auto& features = std::get<std::vector<float>>(set.features);
  features.reserve(static_cast<std::size_t>(count * length));
  for (Index i = 0; i < count; ++i) {
    rng::Stream stream{options.seed, rng::Purpose::synthetic, half, static_cast<std::uint32_t>(i)};
    const Index label = i % options.classes;
    for (Index f = 0; f < length; ++f)
      features.push_back(static_cast<float>(centres[static_cast<std::size_t>(label * length + f)] +
                                            options.noise * stream.normal()));
    set.labels().push_back(static_cast<std::int32_t>(label));
  }
  return set;
}

}  // namespace detail

LORU_INLINE Split synthetic(const SyntheticOptions& options) {
  check_fields(options, "synthetic");
  const Index most = std::max({options.classes, options.train, options.test});
  auto numbers = static_cast<double>(most);
  for (const Index extent : options.sample) numbers *= static_cast<double>(extent);
  require<ConfigError>(numbers <= static_cast<double>(SyntheticOptions::most_numbers),
                       "synthetic: expected at most ", SyntheticOptions::most_numbers, " numbers, got ", most,
                       " samples or classes of shape ", options.sample);
  const std::vector<double> centres = detail::synthetic_centres(options);
  return {detail::synthetic_half(options, centres, options.train, 1),
          detail::synthetic_half(options, centres, options.test, 2)};
}

}  // namespace loru::inline LORU_ISA::data
