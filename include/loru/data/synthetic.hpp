#pragma once
// Synthetic data: one Gaussian cloud for each class.

#include <cstdint>

#include <loru/core/compiled.hpp>
#include <loru/core/fields.hpp>
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

  /// Of classes, samples, and each extent of a sample.
  static constexpr Index most = 10'000'000;
  /// Numbers of the centres, and of the features of a half: 16 GB as floats.
  static constexpr Index most_numbers = 4'000'000'000;

  static constexpr auto fields() {
    using S = SyntheticOptions;
    return Fields{
        field("classes", &S::classes, range::between(1, most), "of synthetic: classes"),
        field("shape", &S::sample, Each{range::between(1, most), 3},
              "of synthetic: shape (C, H, W) of a sample"),
        field("train_samples", &S::train, range::between(1, most), "of synthetic: samples to train on"),
        field("test_samples", &S::test, range::between(1, most), "of synthetic: samples to test on"),
        field("separation", &S::separation, range::not_negative,
              "of synthetic: distance of each class's centre from the origin"),
        field("noise", &S::noise, range::not_negative,
              "of synthetic: standard deviation of each feature around the centre"),
        field("seed", &S::seed, range::at_least(0), "of synthetic: seed of its draws")};
  }
};

/// x = centre[label] + noise * N(0, I). Classes are as equal in size as can be. Throws ConfigError for an
/// option out of its range and for more than most_numbers numbers.
LORU_INLINE Split synthetic(const SyntheticOptions& options = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/synthetic_bodies.hpp>
#endif
