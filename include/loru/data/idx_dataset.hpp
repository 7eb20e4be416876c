#pragma once
// A data set from IDX files: images and labels to train on, images and labels to test on.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/fields.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/locate.hpp>

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
LORU_INLINE Dataset read_idx_images(const std::string& name, const std::filesystem::path& path);

/// `count` whole numbers from an IDX file of rank 1, one for each sample of the file `of`. Each must lie in
/// [0, limit); limit 0 asks only for numbers >= 0. `what` names them in errors: label, writer.
LORU_INLINE std::vector<std::int32_t> read_idx_numbers(const char* what, const std::filesystem::path& path,
                                                       Index count, const std::filesystem::path& of,
                                                       Index limit);

/// Turns a name into a path, or throws, just before that file is read.
using Resolve = std::function<std::filesystem::path(const std::filesystem::path&)>;

/// The data set in four IDX files, train read before test and images before labels. Labels lie in [0,
/// classes); classes 0 takes the largest training label + 1. The normalisation is left to the caller. Throws
/// DataError, also if the images to test on are of another shape than those to train on.
LORU_INLINE Split read_idx_split(const std::string& name, const IdxFiles& files, Index classes,
                                 const Resolve& resolve);

/// Your own four IDX files, relative to `dir`; FILE.gz is taken where FILE is missing. The largest training
/// label gives the number of classes, the training images give the mean and deviation of each channel.
LORU_INLINE Split idx(const IdxFiles& files, const Path& dir = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/idx_bodies.hpp>
#endif
