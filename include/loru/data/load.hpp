#pragma once
// Any data set by its name in a configuration.

#include <span>
#include <string>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/core/shape.hpp>
#include <loru/core/text.hpp>
#include <loru/data/arrays.hpp>
#include <loru/data/cifar.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/digits.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/mnist.hpp>
#include <loru/data/omniglot.hpp>
#include <loru/data/synthetic.hpp>

namespace loru::inline LORU_ISA::data {

std::vector<std::string> dataset_names();

/// The data set to load and where from. Fields that a data set does not know are ignored.
struct Source {
  std::string name = "fashion-mnist";
  Path dir = {};                    // the folder of the files; empty: searched as locate says
  std::vector<Path> also = {};      // further folders to search after the usual ones
  IdxFiles idx = {};                // for "idx", relative to dir
  ArrayFiles arrays = {};           // for "safetensors", relative to dir
  Index batches = 5;                // for "cifar10"
  SyntheticOptions synthetic = {};  // for "synthetic"

  static constexpr auto fields() {
    return Fields{
        field("name", &Source::name, Names{&dataset_names}, "the data set; it has to be given"),
        field(
            "dir", &Source::dir,
            "folder of its files, as --data-dir; if empty, $LORU_DATA_DIR, the package's folder and ./data"),
        field("batches", &Source::batches, range::between(1, 5),
              "of cifar10: how many of its five training files are read"),
        section("", &Source::idx), section("", &Source::arrays), section("", &Source::synthetic)};
  }
};

namespace detail {

struct Loader {
  const char* name;
  Split (*load)(const Source&);
};

/// The one list of data sets.
inline std::span<const Loader> loaders() {
  static constexpr Loader list[] = {
      {"fashion-mnist", [](const Source& s) { return fashion_mnist(s.dir, s.also); }},
      {"mnist", [](const Source& s) { return mnist(s.dir, s.also); }},
      {"cifar10", [](const Source& s) { return cifar10(s.dir, s.batches, s.also); }},
      {"cifar100", [](const Source& s) { return cifar100(s.dir, s.also); }},
      {"digits", [](const Source& s) { return digits(s.dir, s.also); }},
      {"omniglot", [](const Source& s) { return omniglot(s.dir, s.also); }},
      {"synthetic", [](const Source& s) { return synthetic(s.synthetic); }},
      {"idx", [](const Source& s) { return data::idx(s.idx, s.dir); }},
      {"safetensors", [](const Source& s) { return data::arrays(s.arrays, s.dir); }},
  };
  return list;
}

}  // namespace detail

/// Names that load knows.
inline std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  for (const detail::Loader& loader : detail::loaders()) names.emplace_back(loader.name);
  return names;
}

/// Loads a data set by name. Throws ConfigError for an unknown name, naming the nearest; DataError for bad or
/// missing files.
inline Split load(const Source& source) {
  for (const detail::Loader& loader : detail::loaders())
    if (source.name == loader.name) return loader.load(source);
  fail<ConfigError>("data: name: unknown data set \"", source.name, "\", nearest is \"",
                    nearest(source.name, dataset_names()), "\"");
}

}  // namespace loru::inline LORU_ISA::data
