#pragma once
// Federated averaging of Hadamard products of low-rank matrices.

#include <loru/fl/server/server.hpp>
#include <loru/lowrank/hadamard.hpp>

namespace loru::inline LORU_ISA::fl {

/// W = (B_1·A_1) ⊙ (B_2·A_2): clients train the factors, the server averages each. 2·R·(m + n) numbers a
/// layer, R = rank, for weights of rank up to R². With form = personal, W = W_1 ⊙ (W_2 + 1): W_2 stays in the
/// client's state, half as many numbers travel, and the global model has the initial W_2. Source: Hyeon-Woo
/// et al. (FedPara), arXiv 2108.06098, sections 2.2 and 2.3.
struct FedPara {
  bool own_second = false;

  static constexpr std::string_view name = "fedpara";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::parametrise, hook::suits, hook::sends, hook::personal, trait::begins_anew>;
  static constexpr auto fields() {
    return Fields{field("form", &FedPara::own_second, words<bool>({{"shared", false}, {"personal", true}}),
                        "whether W_2 is shared or each client's own")};
  }

  template <class T, class D>
  std::vector<std::string> parametrise(nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) const {
    return lowrank::factorize_hadamard(model, o, own_second);
  }

  /// A layer in this form.
  template <class T, class D>
  bool suits(nn::Weight<T, D>& weight) const {
    const auto* hadamard = weight.template as<nn::Hadamard<T, D>>();
    return hadamard && hadamard->personal() == own_second;
  }

  bool sends(const nn::TensorId& tensor) const { return !personal(tensor); }
  bool personal(const nn::TensorId& tensor) const { return own_second && tensor.role == nn::Role::second; }
};

}  // namespace loru::inline LORU_ISA::fl
