#pragma once
// Only a small core between two fixed factors is trained, so that averaging is exact.

#include <loru/fl/algorithm.hpp>
#include <loru/lowrank/core_factored.hpp>

namespace loru::inline LORU_ISA::fl {

/// W + s·B·R·A with A, B fixed and common to all: R ← Σ p_k·R_k, which is the exact mean of the updates.
/// r·r numbers a layer travel either way. The update's rank stays at r; nothing is merged. A and B are
/// orthonormal and follow from the seed, and R starts at zero. The authors take A, B and R from a
/// decomposition of the gradient of some samples before the first round (LoRA-SB), which needs gradients of
/// W from clients; that is left out. After a warm-up W is what the dense rounds came to. Sources: Singhal
/// et al. (Fed-SB), arXiv 2502.15436, its abstract and its code (github putssander/fed-sb, a copy of
/// CERT-Lab/fed-sb).
struct FedSB {
  static constexpr std::string_view name = "fed_sb";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::parametrise, hook::suits>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  std::vector<std::string> parametrise(nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) const {
    return lowrank::factorize_core(model, o);
  }

  template <class T, class D>
  bool suits(nn::Weight<T, D>& weight) const {
    return weight.template as<nn::CoreFactored<T, D>>() != nullptr;
  }
};

}  // namespace loru::inline LORU_ISA::fl
