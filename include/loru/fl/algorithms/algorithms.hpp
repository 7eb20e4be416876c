#pragma once
// The one list of algorithms.

#include <tuple>
#include <type_traits>

#include <loru/fl/algorithms/fedavg.hpp>
#include <loru/fl/algorithms/fedex_lora.hpp>
#include <loru/fl/algorithms/fedhm.hpp>
#include <loru/fl/algorithms/fedlora.hpp>
#include <loru/fl/algorithms/fedloru.hpp>
#include <loru/fl/algorithms/fedpara.hpp>
#include <loru/fl/algorithms/fedprox.hpp>
#include <loru/fl/algorithms/fedsa_lora.hpp>
#include <loru/fl/algorithms/ffa_lora.hpp>
#include <loru/fl/algorithms/flexlora.hpp>
#include <loru/fl/algorithms/flora.hpp>
#include <loru/fl/algorithms/hetlora.hpp>
#include <loru/fl/algorithms/local.hpp>
#include <loru/fl/algorithms/mfedloru.hpp>
#include <loru/fl/algorithms/pfedloru.hpp>
#include <loru/fl/algorithms/rolora.hpp>
#include <loru/fl/algorithms/scaffold.hpp>

namespace loru::inline LORU_ISA::fl {

using Algorithms = std::tuple<FedAvg, FedProx, FedLoRA, FedLoRU, FedPara, FFALoRA, RoLoRA, FLoRA, FedExLoRA,
                              FlexLoRA, HetLoRA, MFedLoRU, FedHM, FedSALoRA, PFedLoRU, SCAFFOLD, Local>;

/// f(A{}) for every algorithm.
template <class F>
void for_each_algorithm(F f) {
  [&]<class... A>(std::type_identity<std::tuple<A...>>) { (f(A{}), ...); }(std::type_identity<Algorithms>{});
}

/// Names of all algorithms, in the order of the list.
inline std::vector<std::string> algorithm_names() {
  std::vector<std::string> names;
  for_each_algorithm([&](auto algorithm) { names.emplace_back(algorithm.name); });
  return names;
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_ALGORITHMS(TEMPLATE)                      \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedAvg&);    \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedProx&);   \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedLoRA&);   \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedLoRU&);   \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedPara&);   \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FFALoRA&);   \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const RoLoRA&);    \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FLoRA&);     \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedExLoRA&); \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FlexLoRA&);  \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const HetLoRA&);   \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const MFedLoRU&);  \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedHM&);     \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const FedSALoRA&); \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const PFedLoRU&);  \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const SCAFFOLD&);  \
  TEMPLATE AnyAlgorithm<float>::AnyAlgorithm(const Local&);
#ifdef LORU_COMPILED
LORU_COMPILED_ALGORITHMS(extern template)
#endif

}  // namespace loru::inline LORU_ISA::fl
