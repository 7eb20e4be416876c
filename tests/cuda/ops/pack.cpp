// Many tensors between the host and the device in one copy.

#include <thread>

#include <loru/cuda/ops/pack.cuh>
#include <loru/ops/transfer.hpp>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// More tensors than one launch holds, of several shapes; one is empty, one is channels-last, one is none.
std::vector<Tensor<float>> tensors(std::uint64_t seed) {
  std::vector<Tensor<float>> all;
  for (Index i = 0; i < 400; ++i)
    all.push_back(gaussian<float>({i % 7, i == 3 ? 700 : 2}, seed + static_cast<std::uint64_t>(i)));
  all.push_back(gaussian<float>({2, 3, 4, 5}, seed, Layout::channels_last));
  all.emplace_back();
  return all;
}

}  // namespace

TEST_CASE("cuda pack: many tensors there and back, to the bit") {
  const auto all = tensors(1);
  for (const auto order : emulator::all_orders) {
    emulator::options.order = order;
    const auto there = loru::to_device<Cuda>(all);
    const auto here = loru::to_host(there);
    REQUIRE(there.size() == all.size());
    REQUIRE(here.size() == all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      REQUIRE(static_cast<bool>(here[i]) == static_cast<bool>(all[i]));
      if (!all[i]) continue;
      REQUIRE(here[i].layout() == all[i].layout());
      REQUIRE(same_bits(here[i], all[i]));
      REQUIRE(same_bits(to_host(there[i]), all[i]));
    }
  }
  emulator::options.order = emulator::Order::forward;
  CHECK(emulator::inventory().misuse == std::vector<std::string>{});
  CHECK(loru::to_host(loru::to_device<Cuda>(std::vector<Tensor<float>>{})).empty());
}

TEST_CASE("cuda pack: one copy each way, and none for the bytes that were sent last") {
  if (!emulator::present) LORU_SKIP("copies are counted on the emulator");
  const auto first = tensors(1), second = tensors(2);
  const auto copies = [](const auto& body) {
    const auto before = emulator::inventory();
    body();
    const auto after = emulator::inventory();
    CHECK(after.misuse == std::vector<std::string>{});
    return std::pair(after.copies_to_device - before.copies_to_device,
                     after.copies_to_host - before.copies_to_host);
  };
  using Counts = std::pair<std::int64_t, std::int64_t>;
  std::vector<Array<float>> there;
  CHECK(copies([&] { there = loru::to_device<Cuda>(first); }) == Counts{1, 0});
  CHECK(copies([&] { loru::to_host(there); }) == Counts{0, 1});
  fill(there[3], 7.0f);  // the model trains on
  CHECK(copies([&] { there = loru::to_device<Cuda>(first); }) == Counts{0, 0});
  CHECK(same_bits(to_host(there[3]), first[3]));
  CHECK(copies([&] { there = loru::to_device<Cuda>(second); }) == Counts{1, 0});
  CHECK(same_bits(to_host(there[3]), second[3]));
  auto third = tensors(2);
  third[400].data()[119] += 1.0f;  // the last number
  CHECK(copies([&] { there = loru::to_device<Cuda>(third); }) == Counts{1, 0});
  CHECK(same_bits(to_host(there[400]), third[400]));
  // Another thread and another stream send it themselves.
  CHECK(copies([&] { std::thread([&] { loru::to_device<Cuda>(third); }).join(); }) == Counts{1, 0});
  {
    const cuda::Stream stream;
    const cuda::StreamScope scope(stream);
    CHECK(copies([&] { there = loru::to_device<Cuda>(third); }) == Counts{1, 0});
  }
  CHECK(same_bits(to_host(there[400]), third[400]));
}

TEST_CASE("cuda pack: a copy that fails is not taken for one that was made") {
  if (!emulator::present) LORU_SKIP("copies do not fail on a device");
  const auto first = tensors(1), second = tensors(2);
  loru::to_device<Cuda>(first);
  emulator::faults().copy = 1;
  CHECK_THROWS_AS(loru::to_device<Cuda>(second), cuda::CudaError);
  emulator::faults().copy = 0;
  const auto there = loru::to_device<Cuda>(second);
  CHECK(same_bits(to_host(there[3]), second[3]));
}
