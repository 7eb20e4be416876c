#pragma once
// Federated averaging of Hadamard products of low-rank matrices.

#include <tuple>

#include <loru/fl/server.hpp>
#include <loru/lowrank/hadamard.hpp>

namespace loru::fl {

/// W = (B_1·A_1) ⊙ (B_2·A_2): clients train the factors, the server averages each. 2·R·(m + n) numbers a layer, R = rank, for
/// weights of rank up to R². Source: Hyeon-Woo et al. (FedPara), arXiv 2108.06098.
struct FedPara {
  static constexpr std::string_view name = "fedpara";
  static constexpr bool low_rank = true;
  static constexpr auto fields() { return std::tuple{}; }

  template <class T, class D>
  std::vector<std::string> parametrise(nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) const {
    return lowrank::factorize_hadamard(model, o, false);
  }

  template <class T, class D>
  bool suits(nn::Weight<T, D>& weight) const {
    return weight.template as<nn::Hadamard<T, D>>() != nullptr;
  }
};

}  // namespace loru::fl
