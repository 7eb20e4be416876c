// FedSA-LoRA: shared A, own B.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("fedsa_lora shares A and keeps each client's B; their mean is for evaluation only") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto start = small_factored<float>(name);
  Federation<float> run(start, fl::FedSALoRA{});
  run.round();
  run.round();
  const std::size_t without_b = state_bytes(start, [](auto& t) { return t.role != nn::Role::up; });
  CHECK(run.up == std::vector(clients, without_b));
  CHECK(run.down == std::vector(clients, without_b));
  fl::MemoryStore store;
  for (Index k = 0; k < clients; ++k) store.save(k, run.states[static_cast<std::size_t>(k)]);
  store.commit();
  auto evaluated = fl::with_mean_of_own(run.server.model(), run.algorithm.personal, store, run.parts);
  std::map<std::string, Tensor<float>> means;
  lowrank::for_each_weight<nn::Factored>(
      evaluated, [&](const std::string& layer, auto& f) { means[layer] = f.b().value(); });
  lowrank::for_each_weight<nn::Factored>(
      run.server.model(), [&](const std::string& layer, nn::Factored<float>& f) {
        INFO(layer);
        CHECK(squared_norm(f.b().value()) == 0.0);  // the server has seen none
        Tensor<float> sum = nn::constant<float>(f.b().shape(), 0.0);
        for (std::size_t k = 0; k < run.states.size(); ++k) {
          const auto own = run.states[k].get<float>("own." + layer + ".lora_B.weight", f.b().shape());
          CHECK(squared_norm(own) > 0.0);
          add_scaled(sum, static_cast<float>(run.parts.size(static_cast<Index>(k))) / 96.0f, own);
        }
        CHECK(difference(means.at(layer), sum) < 1e-6);
      });
  for (auto& device : run.devices)  // a device lends its model; what is the client's own is in its state
    lowrank::for_each_weight<nn::Factored>(device,
                                           [](auto&, auto& f) { CHECK(squared_norm(f.b().value()) == 0.0); });
}
