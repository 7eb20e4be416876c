#pragma once
// Low-rank training of one factor after the other, so that averaging is exact.

#include <loru/fl/algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// Odd rounds train and average B with A fixed, even rounds A with B fixed: in each round the mean of the
/// products is the product of the means. Both factors are sent down, since a client may have missed the round
/// before. Source: Chen et al. (RoLoRA), arXiv 2502.01755, Algorithm 1.
struct RoLoRA {
  static constexpr std::string_view name = "rolora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::trains>;
  static constexpr auto fields() { return Fields{}; }

  bool trains(const nn::TensorId& tensor, Index round) const {
    return tensor.role != (round % 2 == 1 ? nn::Role::down : nn::Role::up);
  }
};

}  // namespace loru::inline LORU_ISA::fl
