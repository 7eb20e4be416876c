#pragma once
// Every client trains alone: the baseline that a federation has to beat.

#include <loru/fl/algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// x_k ← what client k trains from its own x_k in each of its turns. Messages consist of their heads alone.
/// The global model stays the initial one: what was learned shows in the personal accuracy only. Earlier
/// rounds of another algorithm would not reach the clients either.
struct Local {
  bool low_rank = false;

  static constexpr std::string_view name = "local";
  using hooks = Hooks<hook::sends, hook::personal, trait::begins_anew>;
  static constexpr auto fields() { return Fields{layers_field<Local>()}; }

  bool sends(const nn::TensorId&) const { return false; }
  bool personal(const nn::TensorId&) const { return true; }
};

}  // namespace loru::inline LORU_ISA::fl
