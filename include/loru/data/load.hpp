#pragma once
// Any data set by its name in a configuration.

#include <string>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/fields.hpp>
#include <loru/data/arrays.hpp>
#include <loru/data/cifar.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/digits.hpp>
#include <loru/data/idx_dataset.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/mnist.hpp>
#include <loru/data/omniglot.hpp>
#include <loru/data/synthetic.hpp>
#include <loru/data/text/options.hpp>

namespace loru::inline LORU_ISA::data {

/// Names that load knows.
LORU_INLINE std::vector<std::string> dataset_names();

/// The data set to load and where from. Fields that a data set does not know are ignored.
struct Source {
  std::string name = "fashion-mnist";
  Path dir = {};                    // the folder of the files; empty: searched as locate says
  std::vector<Path> also = {};      // further folders to search after the usual ones
  IdxFiles idx = {};                // for "idx", relative to dir
  ArrayFiles arrays = {};           // for "safetensors" and "text", relative to dir
  Index batches = 5;                // for "cifar10"
  SyntheticOptions synthetic = {};  // for "synthetic"
  TextOptions text = {};            // for texts; in a configuration a table of its own

  static constexpr auto fields() {
    return Fields{
        field("name", &Source::name, Names{&dataset_names}, "the data set; it has to be given"),
        field(
            "dir", &Source::dir,
            "folder of its files, as --data-dir; if empty, $LORU_DATA_DIR, the package's folder and ./data"),
        field("batches", &Source::batches, range::between(1, 5),
              "of cifar10: how many of its five training files are read"),
        section("", &Source::idx),
        section("", &Source::arrays),
        section("", &Source::synthetic)};
  }
};

namespace detail {

/// A data set of texts (text/load.hpp).
LORU_INLINE Split load_sequences(const Source& source);

}  // namespace detail

/// Loads a data set by name. Throws ConfigError for an unknown name, naming the nearest; DataError for bad or
/// missing files.
LORU_INLINE Split load(const Source& source);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/load_bodies.hpp>
#include <loru/data/text/load.hpp>
#endif
