#pragma once
// Ops of the emulated device held against the host's.
#include <cstring>
#include <random>
#include <vector>

#include <emulator/emulator.hpp>
#include <emulator/runtime.hpp>

#include <loru/cpu/cpu.hpp>
#include <loru/cuda/ops.hpp>

#include "cuda/support/on_device.hpp"
#include "support/catch.hpp"
#include "support/tensors.hpp"

namespace loru_test {

using loru::cuda::Array;
using loru::cuda::Cuda;

template <class T>
Array<T> to_device(const Tensor<T>& host) {
  if (!host) return {};
  Array<T> x(host.shape(), host.layout());
  copy_from_host(x, host);
  return x;
}

template <class T>
Tensor<T> to_host(const Array<T>& x) {
  if (!x) return {};
  Tensor<T> host(x.shape(), x.layout());
  copy_to_host(host, x);
  return host;
}

/// Shared memory of a block: that of sm_86, sm_89 and sm_120, of sm_80, of sm_90. Ops choose their tiles by
/// it: their tests run once for each, the others for the first. A real device is what it is.
inline std::size_t every_block_memory() {
  return emulator::present ? static_cast<std::size_t>(GENERATE(99, 163, 227)) << 10 : 0;
}

/// Whole numbers of [-3, 3]: sums and products of a few thousand of them are exact in float.
inline Tensor<float> integers(const Shape& shape, unsigned seed = 1, Layout layout = Layout::row_major) {
  std::mt19937 random(seed);
  Tensor<float> t(shape);
  for (float& x : t.span()) x = static_cast<float>(static_cast<int>(random() % 7) - 3);
  return to_layout(t, layout);
}

/// The tensors that body() gives, equal to the bit in every order of threads; nothing may be left on the
/// device or have been written outside of its memory.
template <class Body>
auto in_all_orders(const Body& body) {
  using Results = decltype(body());
  const auto before = emulator::inventory();
  Results first;
  for (const auto order : emulator::all_orders) {
    emulator::options.order = order;
    Results now = body();
    if (order == emulator::all_orders[0]) first = now;
    REQUIRE(now.size() == first.size());
    for (std::size_t i = 0; i < now.size(); ++i) {
      INFO("result " << i << ", order of threads " << static_cast<int>(order));
      REQUIRE(same_bits(now[i], first[i]));
    }
  }
  emulator::options.order = emulator::Order::forward;
  const auto after = emulator::inventory();
  // With this thread's first product: cuBLAS's workspace, memory for pieces of sums.
  CHECK(after.allocations <= before.allocations + 2);
  CHECK(after.misuse == std::vector<std::string>{});
  return first;
}

/// How far each result is from the host's, at most, relative to the largest element.
template <class T>
void check_close(const std::vector<Tensor<T>>& got, const std::vector<Tensor<T>>& expected, double bound) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("result " << i << " of shape " << expected[i].shape());
    if (expected[i].size() == 0)
      CHECK(got[i].size() == 0);
    else
      CHECK(difference(got[i], expected[i]) <= bound);
  }
}

/// The same to the bit.
template <class T>
void check_exact(const std::vector<Tensor<T>>& got, const std::vector<Tensor<T>>& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("result " << i << " of shape " << expected[i].shape());
    CHECK(same_bits(got[i], expected[i]));
  }
}

/// While one is alive, released blocks are kept, as they are outside of tests.
struct KeepBlocks {
  KeepBlocks() { loru::cuda::detail::keep_blocks() = true; }
  ~KeepBlocks() {
    loru::cuda::trim();
    loru::cuda::detail::keep_blocks() = false;
  }
  KeepBlocks(const KeepBlocks&) = delete;
  KeepBlocks& operator=(const KeepBlocks&) = delete;
};

}  // namespace loru_test
