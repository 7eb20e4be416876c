#pragma once
// The one list of algorithms.

#include <tuple>

#include <loru/fl/algorithm/fedavg.hpp>
#include <loru/fl/algorithm/fedex_lora.hpp>
#include <loru/fl/algorithm/fedhm.hpp>
#include <loru/fl/algorithm/fedlora.hpp>
#include <loru/fl/algorithm/fedloru.hpp>
#include <loru/fl/algorithm/fedpara.hpp>
#include <loru/fl/algorithm/fedprox.hpp>
#include <loru/fl/algorithm/fedsa_lora.hpp>
#include <loru/fl/algorithm/ffa_lora.hpp>
#include <loru/fl/algorithm/flexlora.hpp>
#include <loru/fl/algorithm/flora.hpp>
#include <loru/fl/algorithm/hetlora.hpp>
#include <loru/fl/algorithm/local.hpp>
#include <loru/fl/algorithm/mfedloru.hpp>
#include <loru/fl/algorithm/pfedloru.hpp>
#include <loru/fl/algorithm/rolora.hpp>
#include <loru/fl/algorithm/scaffold.hpp>

namespace loru::fl {

using Algorithms = std::tuple<FedAvg, FedProx, FedLoRA, FedLoRU, FedPara, FfaLora, RoLora, FLoRA, FedExLora,
                              FlexLora, HetLora, MFedLoRU, FedHm, FedSaLora, PFedLoRU, Scaffold, Local>;

/// f(A{}) for every algorithm.
template <class F>
void for_each_algorithm(F f) {
  std::apply([&](auto... algorithm) { (f(algorithm), ...); }, Algorithms{});
}

/// Names of all algorithms, in the order of the list.
inline std::vector<std::string> algorithm_names() {
  std::vector<std::string> names;
  for_each_algorithm([&](auto algorithm) { names.emplace_back(algorithm.name); });
  return names;
}

}  // namespace loru::fl
