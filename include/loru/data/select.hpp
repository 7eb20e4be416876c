#pragma once
// Some samples of a data set as a data set of their own, a validation set, and the statistics of all.

#include <span>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/dataset.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// The chosen rows of `width` values each, one after the other.
template <class Values>
Values rows_of(const Values& from, Index width, std::span<const Index> rows) {
  Values out;
  out.reserve(rows.size() * static_cast<std::size_t>(width));
  for (const Index i : rows) out.insert(out.end(), from.begin() + i * width, from.begin() + (i + 1) * width);
  return out;
}

/// The places of the chosen sequences' tokens among all tokens.
LORU_INLINE std::vector<Index> tokens_of(const Dataset& from, std::span<const Index> samples);

/// Starts of the chosen sequences, packed.
LORU_INLINE std::vector<Index> starts_of(const Dataset& from, std::span<const Index> samples);

}  // namespace detail

/// A copy of some samples of a data set, in the order given.
LORU_INLINE Dataset select(const Dataset& from, std::span<const Index> samples);

/// Takes round(share · N) of the N training samples, drawn by the seed, out of `train` as `validation`. Both
/// keep the order of the samples. A share of 0 changes nothing. Throws ConfigError for a share that is not in
/// [0, 1) or leaves no sample on one side.
LORU_INLINE Split hold_out(Split split, double share, std::uint64_t seed);

/// Mean and standard deviation of raw * unit over all samples, per channel of images and per feature of
/// vectors; what is constant gets deviation 1.
LORU_INLINE Normalisation measure(const Dataset& dataset, double unit);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/select_bodies.hpp>
#endif
