#pragma once
// MNIST and Fashion-MNIST by name, and your own files of the same format.

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <loru/data/dataset.hpp>
#include <loru/data/idx_dataset.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/select.hpp>

namespace loru::inline LORU_ISA::data {

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

inline Split normalised(Split split, const Normalisation& normalisation) {
  split.train.normalisation = split.test.normalisation = normalisation;
  split.train.check();
  split.test.check();
  return split;
}

inline Split read_mnist(const FileSet& set, const Path& dir, std::span<const Path> also,
                        Normalisation normalisation) {
  const Folder folder = locate(set, dir, also);
  return normalised(
      read_idx_split(set.name, {}, 10, [&](const Path& name) { return folder.file(name.string()); }),
      normalisation);
}

}  // namespace detail

/// Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 and 10,000 images of clothes, 28x28 grey, 10
/// classes. Searched as locate says; Debian's package dataset-fashion-mnist is among the places.
inline Split fashion_mnist(const Path& dir = {}, std::span<const Path> also = {}) {
  FileSet set = detail::mnist_files("fashion-mnist");
  set.places = {"/usr/share/datasets/fashion-mnist"};
  set.get += " or `apt install dataset-fashion-mnist`";
  // Mean and deviation of the 60,000 training images.
  return detail::read_mnist(set, dir, also, {1.0 / 255.0, {0.2860}, {0.3530}});
}

/// MNIST (LeCun, Cortes and Burges 1998): 60,000 and 10,000 handwritten digits, 28x28 grey, 10 classes.
inline Split mnist(const Path& dir = {}, std::span<const Path> also = {}) {
  // Mean and deviation of the 60,000 training images.
  return detail::read_mnist(detail::mnist_files("mnist"), dir, also, {1.0 / 255.0, {0.1307}, {0.3081}});
}

/// Your own four IDX files, relative to `dir`; FILE.gz is taken where FILE is missing. The largest training
/// label gives the number of classes, the training images give the mean and deviation of each channel.
inline Split idx(const IdxFiles& files, const Path& dir = {}) {
  const auto resolve = [&](const Path& name) { return plain_or_zipped(dir / name); };
  Split split = read_idx_split("idx", files, 0, resolve);
  const bool bytes = std::holds_alternative<std::vector<std::uint8_t>>(split.train.features);
  return detail::normalised(split, measure(split.train, bytes ? 1.0 / 255.0 : 1.0));
}

}  // namespace loru::data
