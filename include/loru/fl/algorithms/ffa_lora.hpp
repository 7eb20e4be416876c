#pragma once
// Low-rank training with one factor frozen, so that averaging is exact.

#include <tuple>

#include <loru/fl/server/terms.hpp>

namespace loru::inline LORU_ISA::fl {

/// A random, common to all and frozen; B ← Σ p_k·B_k. Since Σ p_k·s·B_k·A = s·B̄·A, the mean is the mean of the updates. m·r
/// numbers a layer travel instead of r·(m + n). Source: Sun et al. (FFA-LoRA), arXiv 2403.12313.
struct FFALoRA {
  static constexpr std::string_view name = "ffa_lora";
  static constexpr bool low_rank = true;
  static constexpr auto fields() { return std::tuple{}; }

  bool sends(const std::string& tensor) const { return !is_lora_a(tensor); }
  bool trains(const std::string& tensor, Index) const { return !is_lora_a(tensor); }
};

}  // namespace loru::fl
