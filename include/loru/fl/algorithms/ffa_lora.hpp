#pragma once
// Low-rank training with one factor frozen, so that averaging is exact.

#include <loru/fl/algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// A random, common to all and frozen; B ← Σ p_k·B_k. Since Σ p_k·s·B_k·A = s·B̄·A, the mean is the mean of
/// the updates. m·r numbers a layer travel instead of r·(m + n). Source: Sun et al. (FFA-LoRA), arXiv
/// 2403.12313.
struct FFALoRA {
  static constexpr std::string_view name = "ffa_lora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::sends, hook::trains>;
  static constexpr auto fields() { return Fields{}; }

  bool sends(const nn::TensorId& tensor) const { return tensor.role != nn::Role::down; }
  bool trains(const nn::TensorId& tensor, Index) const { return tensor.role != nn::Role::down; }
};

}  // namespace loru::inline LORU_ISA::fl
