// The emulator's own behaviour: what it lets pass and what it refuses, in every order of threads.
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/ptx.cuh>

#include "cuda/support/on_device.hpp"
#include "cuda/support/orders.hpp"
#include "support/catch.hpp"

namespace emulator = loru::emulator;
using loru::cuda::exp2_approximate;
using loru::cuda::launch;
using loru::cuda::shared_load;
using loru::cuda::shared_memory;
using loru::cuda::shared_store;
using loru_test::ContainsSubstring;
using loru_test::fault_of;
using loru_test::in_every_order;

namespace {

/// y[block] = sum of the block's x, by halves; half the threads leave early.
__global__ void block_sum(const float* x, float* y, bool first_barrier, bool loop_barrier) {
  float* const s = shared_memory<float>();
  const int t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  shared_store(s + t, x[blockIdx.x * blockDim.x + threadIdx.x]);
  if (first_barrier) __syncthreads();
  if (t >= n / 2) return;
  for (int half = n / 2; half > 0; half /= 2) {
    if (t < half) shared_store(s + t, shared_load<float>(s + t) + shared_load<float>(s + t + half));
    if (loop_barrier) __syncthreads();
  }
  if (t == 0) y[blockIdx.x] = shared_load<float>(s);
}

__global__ void indices(int* out) {
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += static_cast<int>(block * 1000 + thread);
}

__global__ void shuffles(const int* x, int* y) {
  int v = x[threadIdx.x];
  for (unsigned d = 16; d > 0; d /= 2) v += __shfl_down_sync(~0U, v, d);
  v = __shfl_sync(~0U, v, 0);
  const int t = static_cast<int>(threadIdx.x);
  y[t] = v;
  y[32 + t] = __shfl_xor_sync(~0U, t, 5);
  y[64 + t] = __shfl_up_sync(~0U, t, 3);
  y[96 + t] = __shfl_xor_sync(~0U, t, 1, 2);
  y[128 + t] = __shfl_down_sync(~0U, t, 3, 8);
}

__global__ void barrier_for_half() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncwarp();
  if (threadIdx.x >= 32) __shfl_sync(~0U, 1, 0);
  if (threadIdx.x == 40) return;
  if (threadIdx.x >= 32) __syncthreads();
  __syncthreads();
}
__global__ void two_barriers() {
  if (threadIdx.x < 64)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void partial_warp() {
  if (threadIdx.x == 3) return;
  __syncwarp();
}
__global__ void different_warp_operations() {
  if (threadIdx.x < 16)
    __syncwarp();
  else
    __shfl_sync(~0U, 1, 0);
}
__global__ void not_in_mask() { __shfl_sync(0x0000ffffU, 1, 0); }
__global__ void reads_outside_mask() {
  if (threadIdx.x < 16) __shfl_sync(0x0000ffffU, 1, 20);
}
__global__ void outside(int offset) { shared_store(shared_memory<float>() + offset, 1.0F); }
__global__ void red_zone() { shared_memory<float>()[16] = 1; }
__global__ void unaligned_vector() { shared_load<float4>(shared_memory<float>() + 1); }
__global__ void ldmatrix_rows(int stride) {
  std::uint32_t r[4];
  loru::cuda::ldmatrix_x4(r, shared_memory<__nv_bfloat16>() + stride * static_cast<int>(threadIdx.x % 32));
}
__global__ void never_waited(const float* g) {
  loru::cuda::cp_async16(shared_memory<float>(), g, 16);
  loru::cuda::cp_async_commit();
}
__global__ void copy(const float* g, float* y) {
  float* const s = shared_memory<float>();
  loru::cuda::cp_async16(s, g, 12);
  loru::cuda::cp_async_commit();
  loru::cuda::cp_async16(s + 8, g, 5);
  loru::cuda::cp_async_commit();
  y[0] = shared_load<float>(s);
  loru::cuda::cp_async_wait<1>();
  y[1] = shared_load<float>(s), y[2] = shared_load<float>(s + 3), y[3] = shared_load<float>(s + 4);
  y[4] = shared_load<float>(s + 8);
  loru::cuda::cp_async_wait<0>();
  y[5] = shared_load<float>(s + 8), y[6] = shared_load<float>(s + 9);
}
/// Thread 0 of `reader`'s warp reads what thread `writer` wrote.
__global__ void handed_over(int writer, int reader, bool sync_warp) {
  if (static_cast<int>(threadIdx.x) == writer) shared_store(shared_memory<short>(), short{1});
  if (sync_warp) __syncwarp();
  if (static_cast<int>(threadIdx.x) == reader) shared_load<short>(shared_memory<short>());
}
__global__ void overwritten() {
  if (threadIdx.x / 32 == 1) shared_load<double>(shared_memory<double>());
  if (threadIdx.x == 0) shared_store(shared_memory<short>() + 3, short{1});
}
__global__ void strided(int stride) {
  shared_load<float>(shared_memory<float>() + stride * static_cast<int>(threadIdx.x));
}
__global__ void strided_vectors(int stride) {
  shared_load<float4>(shared_memory<float>() + stride * static_cast<int>(threadIdx.x));
}

}  // namespace

TEST_CASE("emulator: block sums with early exits") {
  std::vector<float> x(4 * 256), y(4);
  std::iota(x.begin(), x.end(), 1.0F);
  in_every_order([&] {
    launch("block_sum", block_sum, 4, 256, 1024, nullptr, x.data(), y.data(), true, true);
    for (int b = 0; b < 4; ++b) CHECK(y[b] == 128.0F * (512.0F * static_cast<float>(b) + 257.0F));
  });
}

TEST_CASE("emulator: a missing barrier is a race in every order") {
  const std::vector<float> x(256);
  std::vector<float> y(1);
  in_every_order([&] {
    const auto run = [&](bool first, bool loop) {
      return fault_of(
          [&] { launch("block_sum", block_sum, 1, 256, 1024, nullptr, x.data(), y.data(), first, loop); });
    };
    CHECK_THAT(run(false, true), ContainsSubstring("race with the"));
    CHECK_THAT(run(true, false), ContainsSubstring("race with the"));
    CHECK(run(true, true).empty());
  });
}

TEST_CASE("emulator: races name both lines, and know warps") {
  in_every_order([&] {
    const auto run = [](int writer, int reader, bool sync) {
      return fault_of([&] { launch("handed_over", handed_over, 1, 64, 16, nullptr, writer, reader, sync); });
    };
    CHECK_THAT(run(0, 33, true), ContainsSubstring("race with the") && ContainsSubstring("in line ") &&
                                     ContainsSubstring("emulator.cpp:"));
    CHECK_THAT(run(0, 7, false), ContainsSubstring("race with the"));
    CHECK(run(0, 7, true).empty());
    CHECK(run(5, 5, false).empty());
    CHECK_THAT(fault_of([] { launch("overwritten", overwritten, 1, 64, 16, nullptr); }),
               ContainsSubstring("at offset 6: no barrier between them"));
  });
}

TEST_CASE("emulator: indices in three dimensions") {
  const dim3 grid(3, 2, 2), size(5, 3, 2);
  in_every_order([&] {
    std::vector<int> out(12 * 30);
    launch("indices", indices, grid, size, 0, nullptr, out.data());
    for (int i = 0; i < 12 * 30; ++i) REQUIRE(out[static_cast<std::size_t>(i)] == i / 30 * 1000 + i % 30);
  });
}

TEST_CASE("emulator: shuffles") {
  std::vector<int> x(32), y(160);
  std::iota(x.begin(), x.end(), 0);
  in_every_order([&] {
    launch("shuffles", shuffles, 1, 32, 0, nullptr, x.data(), y.data());
    for (int t = 0; t < 32; ++t) {
      const auto i = static_cast<std::size_t>(t);
      CHECK(y[i] == 31 * 16);
      CHECK(y[32 + i] == (t ^ 5));
      CHECK(y[64 + i] == (t >= 3 ? t - 3 : t));
      CHECK(y[96 + i] == (t ^ 1));
      CHECK(y[128 + i] == (t % 8 < 5 ? t + 3 : t));
    }
  });
}

TEST_CASE("emulator: divergent barriers and warp operations") {
  in_every_order([&] {
    CHECK_THAT(fault_of([] { launch("barrier_for_half", barrier_for_half, 1, 64, 0, nullptr); }),
               ContainsSubstring("divergent barrier") &&
                   ContainsSubstring("32 threads (first 0) wait in __syncthreads()") &&
                   ContainsSubstring("31 threads (first 32) wait in __syncthreads()"));
    CHECK_THAT(fault_of([] { launch("two_barriers", two_barriers, 1, 128, 0, nullptr); }),
               ContainsSubstring("divergent barrier") && ContainsSubstring("64 threads (first 64)"));
    CHECK_THAT(fault_of([] { launch("partial_warp", partial_warp, 1, 32, 0, nullptr); }),
               ContainsSubstring("__syncwarp"));
    CHECK_THAT(fault_of([] { launch("warp", different_warp_operations, 1, 32, 0, nullptr); }),
               ContainsSubstring("lanes of one warp meet in different operations; the other is __"));
    CHECK_THAT(fault_of([] { launch("not_in_mask", not_in_mask, 1, 32, 0, nullptr); }),
               ContainsSubstring("is not in its mask"));
    CHECK_THAT(fault_of([] { launch("outside_mask", reads_outside_mask, 1, 32, 0, nullptr); }),
               ContainsSubstring("lane 20, which is not in the mask"));
  });
}

TEST_CASE("emulator: shared memory has ends and alignment") {
  in_every_order([&] {
    CHECK_THAT(fault_of([] { launch("outside", outside, 1, 1, 64, nullptr, 16); }),
               ContainsSubstring("outside block (0,0,0) thread (0,0,0) shared_store at") &&
                   ContainsSubstring("emulator.cpp:") &&
                   ContainsSubstring("expected 4 bytes within the 64 of shared memory, got offset 64"));
    CHECK_THAT(fault_of([] { launch("outside", outside, 1, 1, 64, nullptr, -1); }),
               ContainsSubstring("got offset -4"));
    CHECK_THAT(fault_of([] { launch("red_zone", red_zone, 1, 1, 64, nullptr); }),
               ContainsSubstring("wrote outside its 64 bytes of shared memory"));
    CHECK_THAT(fault_of([] { launch("vector", unaligned_vector, 1, 1, 64, nullptr); }),
               ContainsSubstring("aligned to 16, got offset 4"));
    CHECK_THAT(fault_of([] { launch("ldmatrix", ldmatrix_rows, 1, 32, 4096, nullptr, 4); }),
               ContainsSubstring("ldmatrix.x4 at") && ContainsSubstring("aligned to 16"));
  });
}

TEST_CASE("emulator: cp.async arrives at its wait, with zeros behind") {
  alignas(16) const float g[5] = {1, std::bit_cast<float>(0x3f123456U), 3, 4, 5};
  std::vector<float> y(7);
  in_every_order([&] {
    launch("copy", copy, 1, 1, 64, nullptr, g, y.data());
    CHECK(std::isnan(y[0]));  // poisoned while under way
    CHECK(y[1] == 1);
    CHECK(y[2] == 0);
    CHECK(std::isnan(y[3]));  // never written
    CHECK(std::isnan(y[4]));  // of the group left open
    CHECK(y[5] == 1);
    CHECK(std::bit_cast<std::uint32_t>(y[6]) == 0x56);  // one byte of it
    CHECK_THAT(fault_of([&] { launch("never_waited", never_waited, 1, 1, 64, nullptr, g); }),
               ContainsSubstring("a cp.async was never waited for"));
    CHECK_THAT(fault_of([&] { launch("never_waited", never_waited, 1, 1, 64, nullptr, g + 1); }),
               ContainsSubstring("expected a global address aligned to 16"));
  });
}

TEST_CASE("emulator: bank conflicts are counted") {
  const auto conflicts = [](auto kernel, int stride) {
    emulator::options.banks = true;
    const auto before = emulator::statistics.bank_conflicts.load();
    launch("conflicts", kernel, 1, 32, 32 << 10, nullptr, stride);
    emulator::options.banks = false;
    return emulator::statistics.bank_conflicts.load() - before;
  };
  CHECK(conflicts(strided, 1) == 0);
  CHECK(conflicts(strided, 0) == 0);
  CHECK(conflicts(strided, 2) == 1);
  CHECK(conflicts(strided, 32) == 31);
  CHECK(conflicts(strided, 33) == 0);
  CHECK(conflicts(strided_vectors, 4) == 0);
  CHECK(conflicts(strided_vectors, 20) == 0);
  CHECK(conflicts(strided_vectors, 32) == 4 * 7);
  CHECK(conflicts(ldmatrix_rows, 8) == 0);
  CHECK(conflicts(ldmatrix_rows, 72) == 0);
  CHECK(conflicts(ldmatrix_rows, 64) == 4 * 7);
}

TEST_CASE("emulator: launches that a device refuses") {
  CHECK_THAT(fault_of([] { launch("big", two_barriers, 1, 2048, 0, nullptr); }),
             ContainsSubstring("1 to 1024 threads"));
  CHECK_THAT(fault_of([] { launch("none", two_barriers, 0, 32, 0, nullptr); }),
             ContainsSubstring("got (0, 1, 1)"));
  CHECK_THAT(fault_of([] { launch("high", two_barriers, dim3(1, 65536), 32, 0, nullptr); }),
             ContainsSubstring("65536"));
  for (const int kilobytes : {227, 163, 99}) {
    const loru_test::OnDevice device(static_cast<std::size_t>(kilobytes) << 10);
    CHECK_THAT(fault_of([&] { launch("fat", two_barriers, 1, 32, (kilobytes << 10) + 1, nullptr); }),
               ContainsSubstring(loru::concat("at most ", kilobytes, " KiB")));
  }
}

TEST_CASE("emulator: a power of two is as far off as its bound allows") {
  int seen[5] = {};
  for (int i = 1; i <= 4000; ++i) {
    const float x = -0.01F * static_cast<float>(i), exact = std::exp2(x), got = exp2_approximate(x);
    const int off = std::bit_cast<std::int32_t>(got) - std::bit_cast<std::int32_t>(exact);
    REQUIRE(std::abs(off) <= 2);
    ++seen[off + 2];
  }
  for (const int count : seen) CHECK(count > 400);
  CHECK(exp2_approximate(0.0F) == 1.0F);
  CHECK(exp2_approximate(-INFINITY) == 0.0F);
  CHECK(exp2_approximate(-130.0F) == 0.0F);
  CHECK(std::isnan(exp2_approximate(NAN)));
}
