#pragma once
// Your own data: arrays in safetensors files, one to train on and one to test on.
//
//   x        (N, n), (N, H, W) or (N, C, H, W), F32 or U8
//   y        (N) I32: a class; (N, k) F32: numbers; (N, k) U8: labels of which several may hold, as 0 and 1
//   client   (N) I32, optional: the natural client of each sample
//
// examples/data/arrays.py writes them.

#include <loru/core/compiled.hpp>
#include <loru/core/fields.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

/// The two files, and whether features are brought to mean 0 and deviation 1 over the training samples.
struct ArrayFiles {
  Path train = {}, test = {};
  bool normalise = false;

  static constexpr auto fields() {
    return Fields{
        field("train", &ArrayFiles::train,
              "of safetensors: file with x and y to train on, in data.dir or the working folder; of text: a "
              "text file, "
              "or a folder with a text a client"),
        field("test", &ArrayFiles::test, "of safetensors and text: the same to test on"),
        field("normalise", &ArrayFiles::normalise,
              "of safetensors: whether each channel or feature gets mean 0 and deviation 1 over the training "
              "samples")};
  }
};

/// One file without its targets: each label is 0. Throws as read_arrays does.
LORU_INLINE Dataset read_samples(const Path& path);

/// One file. Bytes count as byte / 255; there are as many classes as the largest label + 1. Throws IoError,
/// and DataError that names the file, the tensor and the first bad sample.
LORU_INLINE Dataset read_arrays(const Path& path);

/// Both files, relative to `dir`. Labels of the test file lie below the classes of the training file. Throws
/// as read_arrays does, and DataError if the two do not fit together.
LORU_INLINE Split arrays(const ArrayFiles& files, const Path& dir = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/arrays_bodies.hpp>
#endif
