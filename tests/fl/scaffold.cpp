// SCAFFOLD: controls.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("scaffold with its controls held at zero is FedAvg bit for bit") {
  const bool low = GENERATE(false, true);
  auto start = low ? small_factored<double>() : small_model<double>();
  Federation<double> scaffold(start, fl::SCAFFOLD{.low_rank = low}), held = scaffold;
  Federation<double> average(start, low ? fl::AnyAlgorithm<double>(fl::FedLoRA{}) : fl::FedAvg{});
  for (int i = 0; i < 3; ++i) {
    scaffold.round();
    held.round();
    average.round();
    held.server.memory() = io::Archive("memory");
    for (auto& state : held.states) state = io::Archive("state");
    CHECK(bits(held.server.model()) == bits(average.server.model()));
    CHECK((bits(scaffold.server.model()) == bits(average.server.model())) == (i == 0));
  }
}

TEST_CASE("scaffold's controls are option II under plain descent, and c is their mean over all clients") {
  auto start = small_model<double>();
  const double eta = 0.05;
  Federation<double> run(start, fl::SCAFFOLD{},
                         {.epochs = 2, .batch = 7, .optimizer = {.learning_rate = eta}});
  for (int i = 0; i < 3; ++i) {
    const io::Archive common = run.server.memory();
    auto global = nn::Model<double>(run.server.model());
    const auto before = run.states;
    run.round();
    for (std::size_t k = 0; k < run.states.size(); ++k) {
      const auto n = run.parts.size(static_cast<Index>(k));
      const double steps = static_cast<double>(2 * ((n + 6) / 7));
      auto trained = run.devices[k].trained_parameters(), from = global.trained_parameters();
      for (std::size_t p = 0; p < trained.size(); ++p) {
        const std::string key = "control." + trained[p].name;
        Tensor<double> expected = clone(from[p].value.value());  // c_k − c + (x − y) / (K·η)
        add_scaled(expected, -1.0, trained[p].value.value());
        add_scaled(expected, 1.0 / (steps * eta) - 1.0, clone(expected));
        if (i > 0) {
          add_scaled(expected, 1.0, before[k].get<double>(key));
          add_scaled(expected, -1.0, common.get<double>(key));
        }
        CHECK(difference(run.states[k].get<double>(key), expected) < 1e-12);
      }
    }
    for (const auto& p : global.trained_parameters()) {
      const std::string key = "control." + p.name;
      Tensor<double> mean = nn::constant<double>(p.value.shape(), 0.0);
      for (const auto& state : run.states) add_scaled(mean, 1.0 / clients, state.get<double>(key));
      CHECK(difference(run.server.memory().get<double>(key), mean) < 1e-14);
    }
  }
}

TEST_CASE("scaffold sends every control both ways, and asks how many clients there are") {
  auto start = small_model<float>(GENERATE("mlp", "resnet10"));
  Federation<float> run(start, fl::SCAFFOLD{});
  run.round();
  const std::size_t both = state_bytes(start) + state_bytes(start, {}, false);
  CHECK(run.up == std::vector(clients, both));
  CHECK(run.down == std::vector(clients, both));
  Federation<float> unknown(start, fl::SCAFFOLD{});
  unknown.server = fl::Server<float>(start, fl::SCAFFOLD{}, seed);
  CHECK(message_of<ConfigError>([&] { unknown.round(); }) ==
        "scaffold: expected a server that knows the number of clients");
}
