// What the tensors of each parametrisation are, and what they are called.
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/models.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using nn::Role;

namespace {

using Roles = std::map<std::string, Role>;

/// Roles of the parameters of layer fc2.
Roles roles(nn::Model<float>& model) {
  Roles all;
  for (const auto& p : model.parameters())
    if (p.name.starts_with("fc2.")) all[p.name] = p.role;
  return all;
}

nn::Model<float> small() { return nn::mlp<float>({.height = 8, .width = 8, .classes = 4}); }

}  // namespace

TEST_CASE("A parametrisation says what its tensors are, under the names that messages and files have") {
  const lowrank::FactorizeOptions options{.rank = 4, .layers = {"fc2"}};
  auto model = small();
  CHECK(roles(model) == Roles{{"fc2.weight", Role::dense}, {"fc2.bias", Role::dense}});

  lowrank::factorize(model, options);
  const Roles factored{{"fc2.weight", Role::frozen},
                       {"fc2.lora_A.weight", Role::down},
                       {"fc2.lora_B.weight", Role::up},
                       {"fc2.bias", Role::dense}};
  CHECK(roles(model) == factored);
  CHECK(nn::weight_name("fc2") == "fc2.weight");
  CHECK(nn::factor_name("fc2", Role::down) == "fc2.lora_A.weight");
  CHECK(nn::factor_name("fc2", Role::up) == "fc2.lora_B.weight");

  lowrank::set_inner_ranks(model, std::vector<Index>{2});
  Roles nested = factored;
  for (const char* name : {"A_down", "A_up", "B_up", "B_down"})
    nested[std::string("fc2.lora_") + name + ".weight"] = Role::inner;
  CHECK(roles(model) == nested);
  CHECK(nn::inner_name("fc2", Role::down, Role::up) == "fc2.lora_A_up.weight");
  CHECK(nn::inner_name("fc2", Role::up, Role::down) == "fc2.lora_B_down.weight");

  auto product = small();
  lowrank::factorize_product(product, options);
  CHECK(roles(product) == Roles{{"fc2.weight", Role::frozen},
                                {"fc2.product_U.weight", Role::up},
                                {"fc2.product_V.weight", Role::down},
                                {"fc2.bias", Role::dense}});
  CHECK(nn::product_name("fc2", Role::up) == "fc2.product_U.weight");
  CHECK(nn::product_name("fc2", Role::down) == "fc2.product_V.weight");

  auto hadamard = small();
  lowrank::factorize_hadamard(hadamard, options, true);
  CHECK(roles(hadamard) == Roles{{"fc2.w1_A.weight", Role::first},
                                 {"fc2.w1_B.weight", Role::first},
                                 {"fc2.w2_A.weight", Role::second},
                                 {"fc2.w2_B.weight", Role::second},
                                 {"fc2.bias", Role::dense}});

  auto aware = small();
  lowrank::factorize_aggregation_aware(aware, options, 0.1);
  CHECK(roles(aware) == Roles{{"fc2.weight", Role::frozen},
                              {"fc2.aad_A0.weight", Role::frozen},
                              {"fc2.aad_B0.weight", Role::frozen},
                              {"fc2.aad_A.weight", Role::down},
                              {"fc2.aad_B.weight", Role::up},
                              {"fc2.bias", Role::dense}});

  auto core = small();
  lowrank::factorize_core(core, options);
  CHECK(roles(core) == Roles{{"fc2.weight", Role::frozen},
                             {"fc2.core_A.weight", Role::frozen},
                             {"fc2.core_B.weight", Role::frozen},
                             {"fc2.core_R.weight", Role::inner},
                             {"fc2.bias", Role::dense}});
}

TEST_CASE("A model's state carries roles: buffers are statistics") {
  auto model = nn::build<float>("resnet10", {.height = 8, .width = 8, .classes = 4, .narrow = 16});
  std::size_t statistics = 0;
  for (const auto& tensor : model.state()) {
    const bool running = tensor.name.find(".running_") != std::string::npos;
    CHECK((tensor.role == Role::statistic) == running);
    CHECK((tensor.id().name == tensor.name && tensor.id().role == tensor.role));
    statistics += running;
  }
  CHECK(statistics == model.buffers().size());
  CHECK(statistics > 0);
}
