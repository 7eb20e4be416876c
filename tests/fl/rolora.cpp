// RoLoRA and FFA-LoRA: one factor at a time.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("rolora trains one factor after the other, ffa_lora only B") {
  auto start = small_factored<float>();
  const auto changed = [&](fl::AnyAlgorithm<float> algorithm, Index rounds) {
    OneRound<float> before(start, algorithm, rounds - 1), after(start, algorithm, rounds);
    std::string names;
    lowrank::for_each_weight<nn::Factored>(
        before.server.model(), [&](const std::string& layer, nn::Factored<float>& f) {
          lowrank::for_each_weight<nn::Factored>(after.server.model(),
                                                 [&](const std::string& other, nn::Factored<float>& g) {
                                                   if (other != layer) return;
                                                   if (!same_bits(f.a().value(), g.a().value())) names += 'A';
                                                   if (!same_bits(f.b().value(), g.b().value())) names += 'B';
                                                 });
        });
    return names;
  };
  CHECK(changed(fl::RoLoRA{}, 1) == "B");
  CHECK(changed(fl::RoLoRA{}, 2) == "A");
  CHECK(changed(fl::RoLoRA{}, 3) == "B");
  CHECK(changed(fl::FFALoRA{}, 2) == "B");
}
