#pragma once
// Every client alone: the floor of what a federation is worth.

#include <tuple>

#include <loru/fl/algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// x_k ← what client k trains from its own x_k in each of its turns; nothing is sent but the heads of the
/// messages. The global model stays the one that all begin with: what was learned shows in the personal
/// accuracy only. Rounds of others that came before would not reach a client either.
struct Local {
  bool low_rank = false;

  static constexpr std::string_view name = "local";
  using hooks = Hooks<hook::sends, hook::personal, trait::begins_anew>;
  static constexpr auto fields() { return std::tuple{layers_field<Local>()}; }

  bool sends(const nn::TensorId&) const { return false; }
  bool personal(const nn::TensorId&) const { return true; }
};

}  // namespace loru::inline LORU_ISA::fl
