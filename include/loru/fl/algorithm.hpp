#pragma once
// What a federated algorithm is: an aggregate of its options with a few hooks. The loop is written once, in
// Server and Simulation; a hook that an algorithm leaves out has the default that fl/hooks.hpp gives.

#include <concepts>
#include <span>
#include <string_view>
#include <type_traits>

#include <loru/core/fields.hpp>
#include <loru/fl/hooks.hpp>
#include <loru/train/device_data.hpp>
#include <loru/train/tasks/classification.hpp>

namespace loru::inline LORU_ISA::fl {

using train::DeviceData;

struct ClientOptions;

/// What a client trains with: its copy of the model and its samples. `broadcast` is the message that it
/// received. `state` is the client's state: it has the same tensors again in its next turn if the round
/// succeeds, under names that say which algorithm or layer they belong to (`<layer>.personal_A.weight`).
/// Tensors in `extra` go up besides the model's state (hook::also_sent).
template <class T, class D>
struct Turn {
  nn::Model<T, D>& model;
  DeviceData<D> dataset;
  std::span<const Index> samples;
  const ClientOptions& options;
  Head head;
  io::Archive& state;
  const io::Archive& broadcast;
  io::Archive& extra;
  const train::Task<T, D>& task = train::classification<T, D>();
};

/// The answers of a cohort: the mean of its updates by samples, moved by the server's optimizer, and, for an
/// algorithm with the hook `fold` and without trait::sums_alone, the updates themselves in the order of the
/// cohort.
struct Cohort {
  const io::Archive& mean;
  std::span<const Update> updates;
  Index samples;                ///< of all updates
  const io::Archive& averaged;  ///< the mean as it was averaged
  Index answers;                ///< how many updates there are
  const io::Archive& extra;     ///< the mean of what went up besides the state, each client counted once
};

/// An aggregate with `name`, `low_rank` (whether it needs layers parametrised by factors; it may be a member
/// that an option sets), `fields()`, a list of field(...) from which configuration keys, errors and docs are
/// made, and `hooks`, the list of the hooks that it has (fl/hooks.hpp). An algorithm that is to run on any
/// device takes Server<T, D> and Turn<T, D>.
template <class A>
concept Algorithm = std::is_aggregate_v<A> && requires {
  { A::name } -> std::convertible_to<std::string_view>;
  { A::low_rank } -> std::convertible_to<bool>;
  A::fields();
  typename A::hooks;
};

/// Throws ConfigError for an option outside its range.
template <Algorithm A>
void check(const A& algorithm) {
  check_fields(algorithm, A::name);
}

}  // namespace loru::inline LORU_ISA::fl
