#pragma once
// Which parameters of a model are trained.

#include <fnmatch.h>

#include <algorithm>
#include <string>
#include <vector>

#include <loru/core/text.hpp>
#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

namespace detail {

/// Whether one of the shell patterns matches the whole name.
inline bool matches(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

}  // namespace detail

/// Trains the parameters whose names match one of the shell patterns and freezes all others; none of them
/// if there is no pattern. Factors that come afterwards are trained: train_only(model, {"classifier.*"}),
/// then lowrank::factorize. Weights that stand still beside their factors stay so. Throws ConfigError for a
/// pattern that matches no parameter.
template <class T, class D>
void train_only(Model<T, D>& model, const std::vector<std::string>& patterns) {
  std::vector<std::string> names;
  for (const auto& p : model.parameters()) names.push_back(p.name);
  for (const std::string& pattern : patterns)
    require<ConfigError>(std::any_of(names.begin(), names.end(),
                                     [&](const auto& name) { return detail::matches({pattern}, name); }),
                         "train_only: no parameter matches '", pattern, "', did you mean '",
                         nearest(pattern, names), "'?");
  model.visit({.parameter = [&](const TensorId& id, Variable<T, D>& v) {
    v.set_requires_grad(id.role != Role::frozen && detail::matches(patterns, id.name));
  }});
}

}  // namespace loru::inline LORU_ISA::nn
