#pragma once
// How a broadcast tells of merges: by the layer's weight under its own name, or by the factors of each missed
// merge.

#include <loru/fl/message/head.hpp>
#include <loru/nn/role.hpp>

namespace loru::inline LORU_ISA::fl {

/// Name of A (Role::down) or B (Role::up) of merge `number`, from 0, in a broadcast.
inline std::string merge_name(Index number, const std::string& layer, nn::Role role) {
  return "merge." + std::to_string(number) + "." + nn::factor_name(layer, role);
}

}  // namespace loru::inline LORU_ISA::fl
