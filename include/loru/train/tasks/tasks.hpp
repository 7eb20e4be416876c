#pragma once
// The tasks by name. A new one is a header here and a word in this list.

#include <optional>
#include <tuple>

#include <loru/core/text.hpp>
#include <loru/train/tasks/classification.hpp>
#include <loru/train/tasks/multilabel.hpp>
#include <loru/train/tasks/next_token.hpp>
#include <loru/train/tasks/regression.hpp>

namespace loru::inline LORU_ISA::train {

using Tasks = std::tuple<Classification, Regression, MultiLabel, NextToken>;

inline const std::vector<std::string>& task_names() {
  static const std::vector<std::string> names = std::apply(
      [](const auto&... task) { return std::vector<std::string>{std::string(task.name)...}; }, Tasks{});
  return names;
}

/// The task of that name. Throws ConfigError naming the nearest known one.
template <class T, class D = Cpu>
Task<T, D> make_task(std::string_view name) {
  std::optional<Task<T, D>> found;
  std::apply([&](const auto&... task) { (void(task.name == name ? found.emplace(task), 0 : 0), ...); },
             Tasks{});
  require<ConfigError>(found.has_value(), "task: unknown name '", name, "', did you mean '",
                       nearest(name, task_names()), "'?");
  return *found;
}

}  // namespace loru::inline LORU_ISA::train
