#pragma once
// CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).
//
// A file is a row of records: the label (CIFAR-100: coarse label, fine label), then 3 x 32 x 32 bytes, red,
// green and blue plane, each row-major.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/file.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// The differences between the two sets. The label used is the last of `label_bytes`.
struct CifarFormat {
  std::string name;
  Index label_bytes, classes;
  Normalisation normalisation;
};

/// Appends the records of one file. Throws DataError for a size that is no multiple of a record, or a bad
/// label.
inline void append_cifar(Dataset& set, const CifarFormat& format, const std::filesystem::path& path) {
  const Content file = read_content(path);
  const Index pixels = set.sample.size(), record = format.label_bytes + pixels;
  require<DataError>(file.size() > 0 && file.size() % record == 0, file.at(file.size()),
                     ": wrong file size: expected a multiple of ", record, " bytes (", format.label_bytes,
                     " of label, ", pixels, " of image), got ", file.size());
  auto& features = std::get<std::vector<std::uint8_t>>(set.features);
  for (Index offset = 0; offset < file.size(); offset += record) {
    const std::uint8_t* image = file.bytes.data() + offset + format.label_bytes;
    const std::uint8_t label = image[-1];
    require<DataError>(label < format.classes, file.at(offset + format.label_bytes - 1), ": sample ",
                       offset / record, ": expected a label in [0, ", format.classes, "), got ",
                       Index{label});
    set.labels().push_back(label);
    features.insert(features.end(), image, image + pixels);
  }
}

inline Dataset read_cifar(const CifarFormat& format, const Folder& folder,
                          std::span<const std::string> files) {
  Dataset set{format.name, {3, 32, 32}, format.classes,      std::vector<std::uint8_t>{},
              {},          {},          format.normalisation};
  for (const std::string& file : files) append_cifar(set, format, folder.file(file));
  set.check();
  return set;
}

/// `files`: those to train on, then the one to test on.
inline Split read_cifar_split(const CifarFormat& format, const std::vector<std::string>& files,
                              const std::string& subfolder, const Path& dir, std::span<const Path> also) {
  const FileSet set{format.name, files, {subfolder}, {}, "`./dev data " + format.name + "`"};
  const Folder folder = locate(set, dir, also);
  const std::span<const std::string> all{files};
  Split split;
  split.train = read_cifar(format, folder, all.first(all.size() - 1));
  split.test = read_cifar(format, folder, all.last(1));
  return split;
}

}  // namespace detail

/// CIFAR-10: 50,000 and 10,000 images, 3x32x32, 10 classes. `batches` < 5 trains on the first of the five
/// files alone and asks for no more. Throws ConfigError unless it lies in [1, 5].
inline Split cifar10(const Path& dir = {}, Index batches = 5, std::span<const Path> also = {}) {
  require<ConfigError>(batches >= 1 && batches <= 5, "cifar10: batches: expected 1 to 5, got ", batches);
  std::vector<std::string> files;
  for (Index i = 1; i <= batches; ++i) files.push_back(concat("data_batch_", i, ".bin"));
  files.push_back("test_batch.bin");
  // Mean and deviation of the 50,000 training images, per channel.
  const Normalisation measured{1.0 / 255.0, {0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}};
  return detail::read_cifar_split({"cifar10", 1, 10, measured}, files, "cifar-10-batches-bin", dir, also);
}

/// CIFAR-100: 50,000 and 10,000 images, 3x32x32, 100 classes (the fine labels).
inline Split cifar100(const Path& dir = {}, std::span<const Path> also = {}) {
  // Mean and deviation of the 50,000 training images, per channel.
  const Normalisation measured{1.0 / 255.0, {0.5071, 0.4865, 0.4409}, {0.2673, 0.2564, 0.2762}};
  return detail::read_cifar_split({"cifar100", 2, 100, measured}, {"train.bin", "test.bin"},
                                  "cifar-100-binary", dir, also);
}

}  // namespace loru::data
