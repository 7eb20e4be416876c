// Batches of data that are no images with classes, on a second device.
#include <loru/cpu/cpu.hpp>
#include <loru/train/train.hpp>

#include "support/catch.hpp"
#include "support/other_device_ops.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("Vectors with numbers or flags on a second device are the host's batches to the bit") {
  data::Dataset set{.name = "rows",
                    .sample = {3},
                    .features = std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 10},
                    .targets = data::Numbers{2, {0.5f, 1, 2, 3, 4, 5}},
                    .normalisation = {0.25, {0.1, 0.2, 0.3}, {0.7, 1.1, 3.0}}};
  const std::vector<Index> samples{2, 0, 2};
  for (const bool flags : {false, true}) {
    if (flags) set.targets = data::Flags{2, {0, 1, 1, 0, 1, 1}};
    const auto here = train::DeviceData<Cpu>(set).gather<float>(samples);
    const auto there = train::DeviceData<other::Device>(set).gather<float>(samples);
    CHECK(there.inputs.shape() == Shape{3, 3});
    CHECK(same_bits(to_host(there.inputs), here.inputs));
    CHECK(same_bits(to_host(there.values), here.values));
    CHECK_FALSE(there.labels);
    CHECK(there.size() == 3);
  }
}

TEST_CASE("Sequences on a second device are the host's batches") {
  const data::Dataset text{.name = "text",
                           .classes = 9,
                           .features = std::vector<std::int32_t>{1, 2, 3, 4, 5, 6},
                           .targets = data::TokenLabels{{2, 3, 4, 5, 6, 7}},
                           .starts = {0, 1, 4, 6}};
  const std::vector<Index> samples{2, 1};
  const auto here = train::DeviceData<Cpu>(text).gather<float>(samples);
  const auto there = train::DeviceData<other::Device>(text).gather<float>(samples);
  CHECK(same_bits(to_host(there.tokens), here.tokens));
  CHECK(same_bits(to_host(there.labels), here.labels));
  CHECK(there.starts == here.starts);
  CHECK(there.starts == std::vector<Index>{0, 2, 5});
}
