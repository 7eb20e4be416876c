#pragma once
// Bodies of arrays.hpp.

#include <algorithm>
#include <cstring>
#include <variant>

#include <loru/data/arrays.hpp>
#include <loru/data/select.hpp>
#include <loru/io/safetensors.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

template <io::Storable V>
std::vector<V> values_of(const io::RawTensor& raw) {
  std::vector<V> values(static_cast<std::size_t>(raw.shape.size()));
  if (!raw.bytes.empty()) std::memcpy(values.data(), raw.bytes.data(), raw.bytes.size());
  return values;
}

/// (N) whole numbers of at least 0.
inline std::vector<std::int32_t> read_counts(const io::Archive& archive, const char* name, Index count) {
  const io::RawTensor& raw = archive.raw(name);
  require<DataError>(raw.dtype == io::DType::i32 && raw.shape == Shape{count}, archive.origin(), ": tensor ",
                     name, ": expected I32 ", Shape{count}, ", one for each sample of x, got ",
                     to_string(raw.dtype), ' ', raw.shape);
  std::vector<std::int32_t> numbers = values_of<std::int32_t>(raw);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    require<DataError>(numbers[i] >= 0, archive.origin(), ": tensor ", name, ": sample ", i,
                       ": expected a number >= 0, got ", numbers[i]);
  return numbers;
}

inline Targets read_targets(const io::Archive& archive, Index count) {
  const io::RawTensor& y = archive.raw("y");
  const bool table = y.shape.rank() == 2 && y.shape[0] == count && y.shape[1] >= 1;
  if (table && y.dtype == io::DType::f32) return Numbers{y.shape[1], values_of<float>(y)};
  if (table && y.dtype == io::DType::u8) return Flags{y.shape[1], values_of<std::uint8_t>(y)};
  require<DataError>(y.dtype == io::DType::i32, archive.origin(), ": tensor y: expected I32 (", count,
                     "), F32 (", count, ", k) or U8 (", count, ", k) for the ", count, " samples of x, got ",
                     to_string(y.dtype), ' ', y.shape);
  return read_counts(archive, "y", count);
}

/// Reads x alone; the targets are labels, all 0.
inline Dataset read_inputs(const io::Archive& archive, const Path& path) {
  const io::RawTensor& x = archive.raw("x");
  const Index rank = x.shape.rank();
  const bool bytes = x.dtype == io::DType::u8;
  require<DataError>(bytes || x.dtype == io::DType::f32, path.string(),
                     ": tensor x: expected F32 or U8, got ", to_string(x.dtype));
  require<DataError>(rank >= 2 && rank <= 4, path.string(),
                     ": tensor x: expected (N, n), (N, H, W) or (N, C, H, W), got ", x.shape);
  require<DataError>(x.shape.size() > 0, path.string(),
                     ": tensor x: expected at least one sample of one feature, got ", x.shape);
  Dataset set{.name = path.string()};
  if (rank == 3) set.sample.push_back(1);
  for (Index i = 1; i < rank; ++i) set.sample.push_back(x.shape[i]);
  if (bytes)
    set.features = values_of<std::uint8_t>(x);
  else
    set.features = values_of<float>(x);
  set.normalisation.unit = bytes ? 1.0 / 255.0 : 1.0;
  set.targets = Labels(static_cast<std::size_t>(x.shape[0]));
  set.classes = 1;
  return set;
}

}  // namespace detail

LORU_INLINE Dataset read_samples(const Path& path) {
  Dataset set = detail::read_inputs(io::load(path), path);
  set.check();
  return set;
}

LORU_INLINE Dataset read_arrays(const Path& path) {
  const io::Archive archive = io::load(path);
  Dataset set = detail::read_inputs(archive, path);
  const Index count = set.size();
  set.targets = detail::read_targets(archive, count);
  if (const auto* labels = std::get_if<Labels>(&set.targets))
    set.classes = Index{*std::max_element(labels->begin(), labels->end())} + 1;
  if (archive.contains("client")) set.groups = detail::read_counts(archive, "client", count);
  set.check();
  return set;
}

LORU_INLINE Split arrays(const ArrayFiles& files, const Path& dir) {
  require<ConfigError>(!files.train.empty() && !files.test.empty(),
                       "safetensors: expected two files, data.train and data.test, got \"",
                       files.train.string(), "\" and \"", files.test.string(), '"');
  Split split{read_arrays(dir / files.train), read_arrays(dir / files.test)};
  Dataset &train = split.train, &test = split.test;
  const auto same = [&](bool equal, const char* what, const auto& expected, const auto& got) {
    require<DataError>(equal, test.name, ": expected ", what, ' ', expected, " as in ", train.name, ", got ",
                       got);
  };
  same(train.sample == test.sample, "samples of shape", train.sample, test.sample);
  same(train.targets.index() == test.targets.index(), "targets that are", kind_of(train.targets),
       kind_of(test.targets));
  same(width_of(train.targets) == width_of(test.targets), "targets of width", width_of(train.targets),
       width_of(test.targets));
  if (files.normalise) train.normalisation = measure(train, train.normalisation.unit);
  test.normalisation = train.normalisation;
  test.classes = train.classes;
  test.check();
  return split;
}

}  // namespace loru::inline LORU_ISA::data
