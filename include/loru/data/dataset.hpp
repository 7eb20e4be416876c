#pragma once
// Dataset: raw samples, their targets and, where the source knows them, the natural client of each sample.

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/targets.hpp>

namespace loru::inline LORU_ISA::data {

/// value = (raw * unit - mean[c]) / deviation[c]: the value that a model gets for a raw feature of channel c.
/// Empty means and deviations stand for 0 and 1.
struct Normalisation {
  double unit = 1.0;
  std::vector<double> mean = {};
  std::vector<double> deviation = {};

  double mean_of(std::size_t c) const { return mean.empty() ? 0.0 : mean[c]; }
  double inverse_of(std::size_t c) const { return deviation.empty() ? 1.0 : 1.0 / deviation[c]; }
};

/// The samples one after the other: as bytes, as floats, or as the tokens of sequences.
using Features = std::variant<std::vector<std::uint8_t>, std::vector<float>, std::vector<std::int32_t>>;

/// Samples in memory with their targets. A sample is an image (C, H, W), a vector (n), or a sequence of
/// tokens. Sequence i is the tokens [starts[i], starts[i + 1]), and `sample` is then the shape of a scalar.
struct Dataset {
  std::string name = {};
  Shape sample = {};  // (C, H, W), (n) or ()
  Index classes = 0;  // labels lie in [0, classes)
  Features features = {};
  Targets targets = {};
  std::vector<std::int32_t> groups = {};  // natural client of each sample; empty where the source names none
  Normalisation normalisation = {};
  std::vector<Index> starts = {};  // of sequences, from 0 to the number of tokens; else empty
  Index vocabulary = 0;            // of sequences: tokens lie in [0, vocabulary); 0 if that is not known

  bool sequences() const { return !starts.empty(); }

  /// Number of samples.
  Index size() const {
    if (sequences()) return static_cast<Index>(starts.size()) - 1;
    const auto count = [](const auto& values, Index width) {
      return static_cast<Index>(values.size()) / (width > 0 ? width : 1);
    };
    if (const auto* numbers = std::get_if<Numbers>(&targets)) return count(numbers->values, numbers->width);
    if (const auto* flags = std::get_if<Flags>(&targets)) return count(flags->values, flags->width);
    return count(labels(), 1);
  }

  /// The class of each sample. Throws ConfigError for other targets.
  const Labels& labels() const {
    const auto* own = std::get_if<Labels>(&targets);
    require<ConfigError>(own, name, ": expected classes as targets, got ", kind_of(targets));
    return *own;
  }
  Labels& labels() {
    std::as_const(*this).labels();  // throws
    return std::get<Labels>(targets);
  }
  Index label(Index i) const { return labels()[static_cast<std::size_t>(i)]; }

  /// Channels of an image, features of a vector; 0 of sequences.
  Index channels() const { return sample.rank() > 0 ? sample[0] : 0; }

  /// Throws DataError unless counts fit together, every label is a class, every flag is 0 or 1 and every
  /// number is finite; names the first bad sample.
  void check() const;
};

/// The samples to train on, those to test on, and those to choose hyper-parameters by, which are none unless
/// the source has some or hold_out takes them.
struct Split {
  Dataset train, test;
  Dataset validation = {};
};

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/dataset_bodies.hpp>
#endif
