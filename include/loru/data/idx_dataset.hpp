#pragma once
// A data set from IDX files: images and labels to train on, images and labels to test on.

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/file.hpp>
#include <loru/data/idx.hpp>

namespace loru::inline LORU_ISA::data {

/// The four files of a data set; the defaults are the names that MNIST gave them.
struct IdxFiles {
  std::filesystem::path train_images = "train-images-idx3-ubyte";
  std::filesystem::path train_labels = "train-labels-idx1-ubyte";
  std::filesystem::path test_images = "t10k-images-idx3-ubyte";
  std::filesystem::path test_labels = "t10k-labels-idx1-ubyte";

  static constexpr auto fields() {
    return Fields{
        field("train_images", &IdxFiles::train_images, "of idx: images to train on, a file in data.dir"),
        field("train_labels", &IdxFiles::train_labels, "of idx: their labels"),
        field("test_images", &IdxFiles::test_images, "of idx: images to test on"),
        field("test_labels", &IdxFiles::test_labels, "of idx: their labels")};
  }
};

/// Images (N, H, W) or (N, C, H, W), or rows (N, F), which become samples (1, 1, F); no labels yet. 16-bit
/// values become floats. Throws DataError if the array is of rank 1 or empty.
inline Dataset read_idx_images(const std::string& name, const std::filesystem::path& path) {
  const Content file = read_content(path);
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

/// `count` whole numbers from an IDX file of rank 1, one for each sample of the file `of`. Each must lie in
/// [0, limit); limit 0 asks only for numbers >= 0. `what` names them in errors: label, writer.
inline std::vector<std::int32_t> read_idx_numbers(const char* what, const std::filesystem::path& path,
                                                  Index count, const std::filesystem::path& of, Index limit) {
  const Content file = read_content(path);
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

namespace detail {

inline Index one_past_largest(const std::vector<std::int32_t>& numbers) {
  return numbers.empty() ? 0 : Index{*std::max_element(numbers.begin(), numbers.end())} + 1;
}

inline Index image_count(const Dataset& set) {
  return std::visit([](const auto& values) { return static_cast<Index>(values.size()); }, set.features) /
         set.sample.size();
}

/// One half of a split. `resolve` turns a name into a path, or throws, just before that file is read.
template <class Resolve>
Dataset read_idx_pair(const std::string& name, const std::filesystem::path& images,
                      const std::filesystem::path& labels, Index classes, const Resolve& resolve) {
  const std::filesystem::path path = resolve(images);
  Dataset set = read_idx_images(name, path);
  set.targets = read_idx_numbers("label", resolve(labels), image_count(set), path, classes);
  set.classes = classes > 0 ? classes : one_past_largest(set.labels());
  return set;
}

}  // namespace detail

/// The data set in four IDX files, train read before test and images before labels. Labels lie in [0,
/// classes); classes 0 takes the largest training label + 1. `resolve(name)` gives a file's path. The
/// normalisation is left to the caller. Throws DataError, also if the images to test on are of another shape
/// than those to train on.
template <class Resolve>
Split read_idx_split(const std::string& name, const IdxFiles& files, Index classes, const Resolve& resolve) {
  Split split;
  split.train = detail::read_idx_pair(name, files.train_images, files.train_labels, classes, resolve);
  const Index known = split.train.classes;
  split.test = detail::read_idx_pair(name, files.test_images, files.test_labels, known, resolve);
  require<DataError>(split.test.sample == split.train.sample, resolve(files.test_images).string(),
                     ": byte 4: expected images of shape ", split.train.sample, " as those to train on, got ",
                     split.test.sample);
  return split;
}

}  // namespace loru::inline LORU_ISA::data
