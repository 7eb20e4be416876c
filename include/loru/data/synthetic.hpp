#pragma once
// Synthetic data: one Gaussian cloud for each class.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>

namespace loru::inline LORU_ISA::data {

struct SyntheticOptions {
  Index classes = 10;
  Shape sample = {1, 8, 8};
  Index train = 2000;
  Index test = 500;
  double separation = 4.0;  // distance of each class's centre from the origin
  double noise = 1.0;       // standard deviation of each feature around the centre
  std::uint64_t seed = 1;

  static constexpr auto fields() {
    using S = SyntheticOptions;
    return Fields{
        field("classes", &S::classes, range::at_least(1), "of synthetic: classes"),
        field("shape", &S::sample, Each{range::at_least(1), 3}, "of synthetic: shape (C, H, W) of a sample"),
        field("train_samples", &S::train, range::at_least(1), "of synthetic: samples to train on"),
        field("test_samples", &S::test, range::at_least(1), "of synthetic: samples to test on"),
        field("separation", &S::separation, range::not_negative,
              "of synthetic: distance of each class's centre from the origin"),
        field("noise", &S::noise, range::not_negative,
              "of synthetic: standard deviation of each feature around the centre"),
        field("seed", &S::seed, range::at_least(0), "of synthetic: seed of its draws")};
  }
};

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

/// x = centre[label] + noise * N(0, I). Classes are as equal in size as can be. Throws ConfigError.
inline Split synthetic(const SyntheticOptions& options = {}) {
  check_fields(options, "synthetic");
  const std::vector<double> centres = detail::synthetic_centres(options);
  return {detail::synthetic_half(options, centres, options.train, 1),
          detail::synthetic_half(options, centres, options.test, 2)};
}

}  // namespace loru::inline LORU_ISA::data
