#pragma once
// Bodies of mnist.hpp, omniglot.hpp, cifar.hpp and digits.hpp: data sets by name.

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include <loru/data/cifar.hpp>
#include <loru/data/digits.hpp>
#include <loru/data/file.hpp>
#include <loru/data/idx_bodies.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/mnist.hpp>
#include <loru/data/omniglot.hpp>
#include <loru/data/select.hpp>

namespace loru::inline LORU_ISA::data {

// ---- mnist.hpp ----

namespace detail {

inline FileSet mnist_files(const std::string& name) {
  const IdxFiles files;
  return {name,
          {files.train_images.string(), files.train_labels.string(), files.test_images.string(),
           files.test_labels.string()},
          {},
          {},
          "`./dev data " + name + "`"};
}

inline Split read_mnist(const FileSet& set, const Path& dir, std::span<const Path> also,
                        Normalisation normalisation) {
  const Folder folder = locate(set, dir, also);
  return normalised(
      read_idx_split(set.name, {}, 10, [&](const Path& name) { return folder.file(name.string()); }),
      normalisation);
}

}  // namespace detail

LORU_INLINE Split fashion_mnist(const Path& dir, std::span<const Path> also) {
  FileSet set = detail::mnist_files("fashion-mnist");
  set.places = {"/usr/share/datasets/fashion-mnist"};
  set.get += " or `apt install dataset-fashion-mnist`";
  // Mean and deviation of the 60,000 training images.
  return detail::read_mnist(set, dir, also, {1.0 / 255.0, {0.2860}, {0.3530}});
}

LORU_INLINE Split mnist(const Path& dir, std::span<const Path> also) {
  // Mean and deviation of the 60,000 training images.
  return detail::read_mnist(detail::mnist_files("mnist"), dir, also, {1.0 / 255.0, {0.1307}, {0.3081}});
}

// ---- omniglot.hpp ----

LORU_INLINE Split omniglot(const Path& dir, std::span<const Path> also) {
  const FileSet files{"omniglot",
                      {"images-idx3-ubyte", "labels-idx1-short", "writers-idx1-short"},
                      {},
                      {},
                      "`./dev data omniglot`"};
  const Folder folder = locate(files, dir, also);
  const Path images = folder.file(files.files[0]);
  Dataset all = read_idx_images("omniglot", images);
  const Index count = detail::image_count(all);
  all.targets = read_idx_numbers("label", folder.file(files.files[1]), count, images, 0);
  all.groups = read_idx_numbers("writer", folder.file(files.files[2]), count, images, 0);
  all.classes = detail::one_past_largest(all.labels());
  // Mean and deviation of the 3,872 training drawings of the set of 242 characters.
  all.normalisation = {1.0 / 255.0, {0.0805}, {0.2359}};
  all.check();

  std::vector<Index> drawings(static_cast<std::size_t>(all.classes), 0), train, test;
  for (Index i = 0; i < count; ++i) {
    const Index k = drawings[static_cast<std::size_t>(all.label(i))]++;
    ((k + all.label(i)) % 5 == 4 ? test : train).push_back(i);
  }
  return {select(all, train), select(all, test)};
}

// ---- cifar.hpp ----

namespace detail {

/// The differences between the two sets. The label used is the last of `label_bytes`.
struct CifarFormat {
  std::string name;
  Index label_bytes, classes;
  Normalisation normalisation;
};

/// Appends the records of one file. Throws DataError for a size that is no multiple of a record, or a bad
/// label.
inline void append_cifar(Dataset& set, const CifarFormat& format, const Content& file) {
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
  for (const std::string& file : files) append_cifar(set, format, read_content(folder.file(file)));
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

LORU_INLINE Split cifar10(const Path& dir, Index batches, std::span<const Path> also) {
  require<ConfigError>(batches >= 1 && batches <= 5, "cifar10: batches: expected 1 to 5, got ", batches);
  std::vector<std::string> files;
  for (Index i = 1; i <= batches; ++i) files.push_back(concat("data_batch_", i, ".bin"));
  files.push_back("test_batch.bin");
  // Mean and deviation of the 50,000 training images, per channel.
  const Normalisation measured{1.0 / 255.0, {0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}};
  return detail::read_cifar_split({"cifar10", 1, 10, measured}, files, "cifar-10-batches-bin", dir, also);
}

LORU_INLINE Split cifar100(const Path& dir, std::span<const Path> also) {
  // Mean and deviation of the 50,000 training images, per channel.
  const Normalisation measured{1.0 / 255.0, {0.5071, 0.4865, 0.4409}, {0.2673, 0.2564, 0.2762}};
  return detail::read_cifar_split({"cifar100", 2, 100, measured}, {"train.bin", "test.bin"},
                                  "cifar-100-binary", dir, also);
}

// ---- digits.hpp ----

namespace detail {

/// The whole numbers of one comma-separated line; empty if a field is something else.
inline std::vector<Index> parse_numbers(std::string_view line) {
  std::vector<Index> numbers;
  const char *at = line.data(), *end = line.data() + line.size();
  for (;;) {
    Index number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{}) return {};
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != ',') return {};
    at = next + 1;
  }
}

}  // namespace detail

LORU_INLINE Dataset read_digits(const std::filesystem::path& path) {
  return parse_digits(read_content(path));
}

LORU_INLINE Dataset parse_digits(const Content& file) {
  Dataset set{"digits", {1, 8, 8}, 10, std::vector<std::uint8_t>{}, {}, {}, {1.0 / 16.0, {0.3058}, {0.3764}}};
  auto& features = std::get<std::vector<std::uint8_t>>(set.features);
  const std::string_view text{reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()};
  std::size_t begin = 0;
  for (Index line = 1; begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view row = text.substr(begin, end - begin);
    if (row.ends_with('\r')) row.remove_suffix(1);
    const std::vector<Index> numbers = detail::parse_numbers(row);
    bool good = numbers.size() == 65 && numbers[64] >= 0 && numbers[64] <= 9;
    for (std::size_t i = 0; good && i < 64; ++i) good = numbers[i] >= 0 && numbers[i] <= 16;
    require<DataError>(good, file.at(static_cast<Index>(begin)), ": line ", line,
                       ": expected 64 pixels in 0..16 and a label in 0..9, got \"", row.substr(0, 40), "\"");
    for (std::size_t i = 0; i < 64; ++i) features.push_back(static_cast<std::uint8_t>(numbers[i]));
    set.labels().push_back(static_cast<std::int32_t>(numbers[64]));
    begin = end + 1;
  }
  require<DataError>(set.size() > 0, file.at(0), ": expected lines of digits, got an empty file");
  set.check();
  return set;
}

LORU_INLINE Split digits(const Path& dir, std::span<const Path> also) {
  const FileSet files{"digits", {"digits.csv"}, {}, {"examples/data"}, "`./dev data digits`"};
  const Folder folder = locate(files, dir, also);
  const Dataset all = read_digits(folder.file("digits.csv"));
  std::vector<Index> train, test;
  for (Index i = 0; i < all.size(); ++i) (i % 5 == 4 ? test : train).push_back(i);
  return {select(all, train), select(all, test)};
}

}  // namespace loru::inline LORU_ISA::data
