#pragma once
// Bodies of load.hpp: data sets by their names.

#include <span>

#include <loru/core/text.hpp>
#include <loru/data/load.hpp>

namespace loru::inline LORU_ISA::data {

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
      {"sst2", load_sequences},
      {"banking77", load_sequences},
      {"shakespeare", load_sequences},
      {"text", load_sequences},
  };
  return list;
}

}  // namespace detail

LORU_INLINE std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  for (const detail::Loader& loader : detail::loaders()) names.emplace_back(loader.name);
  return names;
}

LORU_INLINE Split load(const Source& source) {
  for (const detail::Loader& loader : detail::loaders())
    if (source.name == loader.name) return loader.load(source);
  fail<ConfigError>("data: name: unknown data set \"", source.name, "\", nearest is \"",
                    nearest(source.name, dataset_names()), "\"");
}

}  // namespace loru::inline LORU_ISA::data
