#pragma once
// The one list of algorithms.

#include <tuple>
#include <type_traits>

#include <loru/fl/algorithms/fed_sb.hpp>
#include <loru/fl/algorithms/fedavg.hpp>
#include <loru/fl/algorithms/fedex_lora.hpp>
#include <loru/fl/algorithms/fedhm.hpp>
#include <loru/fl/algorithms/fedlora.hpp>
#include <loru/fl/algorithms/fedloru.hpp>
#include <loru/fl/algorithms/fedmomentum.hpp>
#include <loru/fl/algorithms/fedmud.hpp>
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
#include <loru/fl/algorithms/raflora.hpp>
#include <loru/fl/algorithms/rolora.hpp>
#include <loru/fl/algorithms/scaffold.hpp>

namespace loru::inline LORU_ISA::fl {

using Algorithms = std::tuple<FedAvg, FedProx, FedLoRA, FedLoRU, FedPara, FFALoRA, RoLoRA, FLoRA, FedExLoRA,
                              FlexLoRA, HetLoRA, MFedLoRU, FedHM, FedSALoRA, PFedLoRU, SCAFFOLD, Local,
                              FedMomentum, FedMUD, RaFLoRA, FedSB>;

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
#define LORU_COMPILED_ALGORITHMS(TEMPLATE, T)                 \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedAvg&);      \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedProx&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedLoRA&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedLoRU&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedPara&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FFALoRA&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const RoLoRA&);      \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FLoRA&);       \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedExLoRA&);   \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FlexLoRA&);    \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const HetLoRA&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const MFedLoRU&);    \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedHM&);       \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedSALoRA&);   \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const PFedLoRU&);    \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const SCAFFOLD&);    \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const Local&);       \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedMomentum&); \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedMUD&);      \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const RaFLoRA&);     \
  TEMPLATE AnyAlgorithm<T>::AnyAlgorithm(const FedSB&);
#ifdef LORU_COMPILED
LORU_COMPILED_ALGORITHMS(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
