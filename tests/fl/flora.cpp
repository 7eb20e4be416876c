// FLoRA: stacked factors.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("flora refuses factors whose product is not zero") {
  auto start = small_model<float>();
  lowrank::factorize(start, {.rank = 2, .start = lowrank::Start::svd});
  CHECK_THAT(message_of<ConfigError>([&] { OneRound<float>(start, fl::FLoRA{}); }),
             StartsWith("flora: layer fc2: expected factors that start with a zero product"));
}
