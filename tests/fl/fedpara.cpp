// FedPara: what travels, and its personal form.
#include <set>

#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("fedpara sends 2·R·(m + n) numbers a layer, and 2·R²·kh·kw more of a convolution") {
  auto dense = small_model<float>(GENERATE("mlp", "resnet10")), start = dense;
  const Index rank = 3;
  const fl::FedPara algorithm;
  const auto layers = fl::AnyAlgorithm<float>(algorithm).parametrise(start, {.rank = rank});
  const std::set<std::string> chosen(layers.begin(), layers.end());
  std::size_t expected = 0;
  for (const auto& [name, tensor, role] : dense.state())
    if (!name.ends_with(".weight") || !chosen.contains(name.substr(0, name.size() - 7)))
      expected += sizeof(float) * static_cast<std::size_t>(tensor.size());
  dense.visit({.weight = [&](const std::string& name, nn::Weight<float>& weight) {
    if (!chosen.contains(name)) return;
    const Shape w = weight.shape();
    const Index core = w.rank() == 4 ? 2 * rank * rank * w[2] * w[3] : 0;
    expected += sizeof(float) * static_cast<std::size_t>(2 * rank * (w[0] + w[1]) + core);
  }});
  OneRound<float> run(start, algorithm, 2);
  CHECK(run.up == std::vector<std::size_t>(clients, expected));
  run.server.begin_round();
  CHECK(payload(run.server.broadcast(0)) == expected);
}

TEST_CASE("fedpara in its personal form shares W_1 and keeps each client's W_2") {
  const std::string name = GENERATE("mlp", "resnet10");
  const fl::FedPara algorithm{.own_second = true};
  auto start = small_model<float>(name);
  fl::AnyAlgorithm<float>(algorithm).parametrise(start, {.rank = 2});
  const auto second = [](const std::string& t) { return t.find(".w2_") != std::string::npos; };
  Federation<float> run(start, algorithm);
  run.round();
  run.round();
  const std::size_t shared = state_bytes(start, [&](auto& t) { return !second(t); });
  CHECK(shared < state_bytes(start));
  CHECK(run.up == std::vector(clients, shared));
  CHECK(run.down == std::vector(clients, shared));
  const auto before = start.state(), after = run.server.model().state();
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    INFO(before[i].name);
    CHECK(same_bits(before[i].value, after[i].value) == second(before[i].name));
    if (!second(before[i].name)) continue;
    for (const auto& state : run.states) {
      const auto own = state.get<float>("own." + before[i].name, before[i].value.shape());
      CHECK(difference(own, before[i].value) > 0.0);
    }
  }
  CHECK(message_of<ConfigError>([&] { fl::Server<float>(start, fl::FedPara{}, 1); }) ==
        "fedpara: expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
}
