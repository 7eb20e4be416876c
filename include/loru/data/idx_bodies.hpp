#pragma once
// Bodies of idx.hpp and idx_dataset.hpp: readers of IDX files.

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include <loru/data/idx.hpp>
#include <loru/data/idx_dataset.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/select.hpp>

namespace loru::inline LORU_ISA::data {

// ---- idx.hpp ----

namespace detail {

inline std::string hex(std::uint8_t byte) {
  constexpr const char* digits = "0123456789abcdef";
  return {digits[byte >> 4], digits[byte & 15]};
}

/// Bytes before the values of an IDX file of the given rank.
constexpr Index idx_header(Index rank) { return 4 + 4 * rank; }

inline void check_idx_magic(const Content& file) {
  const auto& b = file.bytes;
  require<DataError>(b.size() >= 4, file.at(file.size()), ": truncated: expected 4 bytes of magic, got ",
                     b.size());
  const bool known_type = b[2] == 0x08 || b[2] == 0x09 || b[2] == 0x0b;
  require<DataError>(b[0] == 0 && b[1] == 0 && known_type && b[3] >= 1 && b[3] <= 4, file.at(0),
                     ": bad magic: expected 00 00, a type 08, 09 or 0b and a rank 01 to 04, got ", hex(b[0]),
                     ' ', hex(b[1]), ' ', hex(b[2]), ' ', hex(b[3]));
}

/// The extents in a header of at least 4 + 4·rank bytes.
inline Shape idx_extents(std::span<const std::uint8_t> bytes) {
  Shape shape;
  for (std::size_t i = 0; i < bytes[3]; ++i) {
    std::uint32_t extent = 0;
    for (std::size_t k = 0; k < 4; ++k) extent = extent << 8 | bytes[4 + 4 * i + k];
    shape.push_back(static_cast<Index>(extent));
  }
  return shape;
}

/// The product of the extents that are not 0, at most 2⁶⁰.
inline Index bounded_product(const Shape& shape) {
  constexpr Index most = Index{1} << 60;
  Index product = 1;
  for (const Index extent : shape)
    if (extent > 0) product = product > most / extent ? most : product * extent;
  return product;
}

/// Bytes of the file that this is the beginning of, as its header says; the header alone if that is bad.
inline std::size_t idx_bytes(std::span<const std::uint8_t> begin) {
  constexpr std::size_t longest = 20;
  if (begin.size() < longest || begin[3] > 4) return longest;
  const Shape shape = idx_extents(begin);
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  const Index width = empty ? 0 : begin[2] == 0x0b ? 2 : 1;
  return static_cast<std::size_t>(idx_header(shape.rank()) + width * bounded_product(shape));
}

/// The content of an IDX file. What gzip holds beyond the array is not decompressed, but for one byte.
inline Content read_idx_content(const std::filesystem::path& path) { return read_content(path, idx_bytes); }

/// The extents, once it is known that the file holds exactly their product times `width` bytes.
inline Shape read_idx_shape(const Content& file, Index width) {
  const Index rank = file.bytes[3], header = idx_header(rank);
  require<DataError>(file.size() >= header, file.at(file.size()), ": truncated: expected a header of ",
                     header, " bytes, got ", file.size());
  const Shape shape = idx_extents(file.bytes);
  const Index present = file.size() - header;
  Index expected = std::find(shape.begin(), shape.end(), 0) == shape.end() ? width : 0;
  for (Index extent : shape) {  // stops before the product can overflow
    if (expected > present) break;
    expected *= extent;
  }
  require<DataError>(expected <= present, file.at(file.size()), ": truncated: shape ", shape, " of ", width,
                     "-byte values needs more than the ", present, " bytes after the header");
  require<DataError>(expected == present, file.at(header + expected),
                     ": expected the end of the file after shape ", shape, ", got ",
                     file.unzipped ? "more" : concat(present - expected, " more bytes"));
  require<DataError>(bounded_product(shape) < Index{1} << 60, file.at(4),
                     ": expected extents with a product below 2^60, got shape ", shape);
  return shape;
}

}  // namespace detail

LORU_INLINE IdxArray parse_idx(const Content& file) {
  detail::check_idx_magic(file);
  const std::uint8_t type = file.bytes[2];
  IdxArray array{detail::read_idx_shape(file, type == 0x0b ? 2 : 1), {}};
  const auto* first = file.bytes.data() + detail::idx_header(array.shape.rank());
  if (type == 0x08) {
    array.values = std::vector<std::uint8_t>(first, first + array.shape.size());
    return array;
  }
  auto& values =
      array.values.emplace<std::vector<std::int16_t>>(static_cast<std::size_t>(array.shape.size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = type == 0x09 ? static_cast<std::int8_t>(first[i])
                             : static_cast<std::int16_t>(first[2 * i] << 8 | first[2 * i + 1]);
  return array;
}

LORU_INLINE IdxArray read_idx(const std::filesystem::path& path) {
  return parse_idx(detail::read_idx_content(path));
}

// ---- idx_dataset.hpp ----

namespace detail {

inline Index one_past_largest(const std::vector<std::int32_t>& numbers) {
  return numbers.empty() ? 0 : Index{*std::max_element(numbers.begin(), numbers.end())} + 1;
}

inline Index image_count(const Dataset& set) {
  return std::visit([](const auto& values) { return static_cast<Index>(values.size()); }, set.features) /
         set.sample.size();
}

/// One half of a split.
inline Dataset read_idx_pair(const std::string& name, const std::filesystem::path& images,
                             const std::filesystem::path& labels, Index classes, const Resolve& resolve) {
  const std::filesystem::path path = resolve(images);
  Dataset set = read_idx_images(name, path);
  set.targets = read_idx_numbers("label", resolve(labels), image_count(set), path, classes);
  set.classes = classes > 0 ? classes : one_past_largest(set.labels());
  return set;
}

inline Split normalised(Split split, const Normalisation& normalisation) {
  split.train.normalisation = split.test.normalisation = normalisation;
  split.train.check();
  split.test.check();
  return split;
}

}  // namespace detail

LORU_INLINE Dataset read_idx_images(const std::string& name, const std::filesystem::path& path) {
  const Content file = detail::read_idx_content(path);
  IdxArray array = parse_idx(file);
  const Shape& shape = array.shape;
  const Index rank = shape.rank();
  require<DataError>(rank >= 2, file.at(3), ": expected images of rank 2 to 4, got shape ", shape);
  require<DataError>(shape.size() > 0, file.at(4), ": expected at least one image of one pixel, got shape ",
                     shape);
  Dataset set;
  set.name = name;
  set.sample = {rank == 4 ? shape[1] : 1, rank >= 3 ? shape[rank - 2] : 1, shape[rank - 1]};
  if (auto* bytes = std::get_if<std::vector<std::uint8_t>>(&array.values)) {
    set.features = std::move(*bytes);
  } else {
    const auto& words = std::get<std::vector<std::int16_t>>(array.values);
    set.features = std::vector<float>(words.begin(), words.end());
  }
  return set;
}

LORU_INLINE std::vector<std::int32_t> read_idx_numbers(const char* what, const std::filesystem::path& path,
                                                       Index count, const std::filesystem::path& of,
                                                       Index limit) {
  const Content file = detail::read_idx_content(path);
  const IdxArray array = parse_idx(file);
  require<DataError>(array.shape.rank() == 1, file.at(3), ": expected ", what, "s of rank 1, got shape ",
                     array.shape);
  require<DataError>(array.shape[0] == count, file.at(4), ": expected ", count, ' ', what,
                     "s, one for each sample of ", of.string(), ", got ", array.shape[0]);
  std::vector<std::int32_t> numbers;
  std::visit([&](const auto& values) { numbers.assign(values.begin(), values.end()); }, array.values);
  const Index header = detail::idx_header(1), width = count > 0 ? (file.size() - header) / count : 1;
  for (Index i = 0; i < count; ++i) {
    const std::int32_t number = numbers[static_cast<std::size_t>(i)];
    require<DataError>(number >= 0 && (limit == 0 || number < limit), file.at(header + i * width),
                       ": sample ", i, ": expected a ", what,
                       limit > 0 ? concat(" in [0, ", limit, ")") : " >= 0", ", got ", number);
  }
  return numbers;
}

LORU_INLINE Split read_idx_split(const std::string& name, const IdxFiles& files, Index classes,
                                 const Resolve& resolve) {
  Split split;
  split.train = detail::read_idx_pair(name, files.train_images, files.train_labels, classes, resolve);
  const Index known = split.train.classes;
  split.test = detail::read_idx_pair(name, files.test_images, files.test_labels, known, resolve);
  require<DataError>(split.test.sample == split.train.sample, resolve(files.test_images).string(),
                     ": byte 4: expected images of shape ", split.train.sample, " as those to train on, got ",
                     split.test.sample);
  return split;
}

LORU_INLINE Split idx(const IdxFiles& files, const Path& dir) {
  const auto resolve = [&](const Path& name) { return plain_or_zipped(dir / name); };
  Split split = read_idx_split("idx", files, 0, resolve);
  const bool bytes = std::holds_alternative<std::vector<std::uint8_t>>(split.train.features);
  return detail::normalised(split, measure(split.train, bytes ? 1.0 / 255.0 : 1.0));
}

}  // namespace loru::inline LORU_ISA::data
