// Memory, streams and events of the device, and what happens when the runtime refuses.

#include <thread>

#include <loru/cuda/ops/elementwise.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;
using emulator::faults, emulator::inventory;

namespace {

/// What a training step does to memory: results of several sizes that go as others come.
Tensor<float> step(const Tensor<float>& x) {
  const auto y = to_device(x);
  auto sum = add(y, scale(y, 2.0f));
  add_scaled(sum, 0.5f, relu(sum));
  return to_host(to_layout(sum, Layout::channels_last));
}

}  // namespace

TEST_CASE("cuda memory: after its first step, training takes none from the system") {
  const KeepBlocks keep;
  const auto x = gaussian<float>({2, 3, 9, 5});
  const auto first = step(x);
  const auto before = inventory();
  const auto reserved = cuda::memory_statistics().reserved;
  for (int i = 0; i < 5; ++i) CHECK(same_bits(step(x), first));
  CHECK(inventory().all_allocations == before.all_allocations);
  CHECK(inventory().allocations == before.allocations);
  CHECK(cuda::memory_statistics().reserved == reserved);
}

TEST_CASE("cuda memory: a block serves the next tensor of its size class on its stream") {
  const KeepBlocks keep;
  const cuda::Stream other;
  const float* first = nullptr;
  {
    const Array<float> x(Shape{300});
    first = x.data();
  }
  {
    const cuda::StreamScope scope(other);
    const Array<float> elsewhere(Shape{300});
    CHECK(elsewhere.data() != first);
  }
  const Array<float> larger(Shape{301});
  CHECK(larger.data() == first);
  const Array<float> next(Shape{301});
  CHECK(next.data() != first);
}

TEST_CASE("cuda memory: what no tensor uses is given back before memory runs out") {
  const KeepBlocks keep;
  const auto before = cuda::memory_statistics();
  const auto device = emulator::device;
  std::size_t free = 0, total = 0;
  REQUIRE(cudaMemGetInfo(&free, &total) == cudaSuccess);
  emulator::device.memory = total - free + (3 << 20);
  { const Array<float> x(Shape{(2 << 20) / 4}); }
  CHECK(cuda::memory_statistics().reserved >= before.reserved + (2 << 20));
  {
    const Array<float> y(Shape{(3 << 20) / 4});
    CHECK(cuda::memory_statistics().used == before.used + (3 << 20));
    CHECK_THROWS_WITH(Array<float>(Shape{1 << 20}),
                      StartsWith("cuda: out of memory: expected 4194304 bytes, got 0 free"));
  }
  emulator::device = device;
}

TEST_CASE("cuda memory: an empty tensor has a buffer, copies share it, the last one frees it") {
  const auto before = inventory().allocations;
  {
    Array<float> x(Shape{0, 4});
    CHECK(x);
    CHECK(x.size() == 0);
    const Array<float> y = x;
    CHECK_FALSE(x.unique());
    CHECK(inventory().allocations == before + 1);
  }
  CHECK(inventory().allocations == before);
}

TEST_CASE("cuda memory: trim gives back what is unused") {
  const KeepBlocks keep;
  { const Array<float> x(Shape{1 << 20}); }
  const auto full = cuda::memory_statistics();
  cuda::trim();
  const auto now = cuda::memory_statistics();
  CHECK(full.reserved >= (std::uint64_t{4} << 20));
  CHECK(now.reserved < full.reserved);
  CHECK(now.used == full.used);
}

TEST_CASE("cuda memory: too much is a clear error, and the next tensor is served") {
  const auto before = inventory().allocations;
  CHECK_THROWS_AS(Array<float>(Shape{Index{1} << 40}), cuda::OutOfMemory);
  CHECK_THROWS_WITH(
      Array<float>(Shape{Index{1} << 40}),
      StartsWith("cuda: out of memory: expected 4398046511104 bytes, got ") &&
          ContainsSubstring(" free of 4294967296 on the device, of which tensors of this process have "));
  CHECK(inventory().allocations == before);
  CHECK(same_bits(to_host(to_device(gaussian<float>({5}))), gaussian<float>({5})));
}

TEST_CASE("cuda memory: whichever allocation or copy fails, nothing leaks and the next try works") {
  const auto x = gaussian<float>({2, 3, 9, 5});
  const auto expected = step(x);
  const auto before = inventory();
  const auto expect_failures = [&](int emulator::Faults::* kind, const std::string& text) {
    int failures = 0;
    for (bool failed = true; failed; failures += failed) {
      faults().*kind = failures + 1;
      failed = false;
      try {
        step(x);
      } catch (const cuda::CudaError& error) {
        failed = true;
        CHECK_THAT(error.what(), ContainsSubstring(text));
      }
      faults().*kind = 0;
      CHECK(inventory().allocations == before.allocations);
      CHECK(same_bits(step(x), expected));
    }
    return failures;
  };
  CHECK(expect_failures(&emulator::Faults::allocation, "cuda: out of memory: expected 1080 bytes, got ") ==
        5);
  CHECK(expect_failures(&emulator::Faults::copy, "unknown error") == 2);
  CHECK(inventory().misuse.empty());
}

TEST_CASE("cuda memory: a recorded kernel that is given memory of the host is reported") {
  const auto before = emulator::inventory().misuse.size();
  float here[4] = {};
  emulator::runtime::check_recorded("scale", &before, sizeof before);
  CHECK(emulator::inventory().misuse.size() == before);
  float* const address = here;
  emulator::runtime::check_recorded("scale", &address, sizeof address);
  CHECK(emulator::inventory().misuse.size() == before + 1);
  emulator::runtime::forget_misuse();
}

TEST_CASE("cuda device: without one, what is missing is said") {
  CHECK(cuda::available());
  const cuda::DeviceProperties p = cuda::device_properties();
  CHECK(p.name == "emulated device");
  CHECK(p.rates(false).flops == 132 * 1.5e9 * 256);
  CHECK(p.rates(true).flops == 8 * p.rates(false).flops);
  CHECK(p.rates(true).bandwidth == 2 * 2e9 * 5120 / 8);
  emulator::device.tells_clocks = false;
  const cuda::DeviceProperties untold = cuda::device_properties();
  emulator::device.tells_clocks = true;
  CHECK(std::abs(untold.rates(false).flops - 67e12) <= 1.0);
  CHECK(untold.rates(false).bandwidth == 3350e9);
  faults().devices = 0;
  CHECK_FALSE(cuda::available());
  CHECK_THROWS_AS(cuda::require_device(), cuda::NoDevice);
  CHECK_THROWS_WITH(
      cuda::device_properties(),
      "cuda: expected a CUDA device with its driver, got none: no CUDA-capable device is detected");
  faults().devices = 1;
  CHECK(cuda::available());
}

TEST_CASE("cuda device: one of several, for all threads") {
  faults().devices = 2;
  const cudaStream_t of_first = cuda::current_stream();
  CHECK_THROWS_WITH(cuda::use_device(2), "cuda: expected a device from 0 to 1, got 2");
  CHECK_THROWS_WITH(cuda::use_device(-1), "cuda: expected a device from 0 to 1, got -1");
  CHECK(cuda::current_device() == 0);
  const auto on_second = [&] {
    CHECK(cuda::current_device() == 1);
    CHECK(cuda::current_stream() != of_first);
    CHECK(emulator::runtime::device_of(cuda::current_stream()) == 1);
    const auto used = cuda::memory_statistics().used;
    const auto x = to_device(gaussian<float>({9}));
    CHECK(cuda::memory_statistics().used > used);
    check_exact<float>({to_host(scale(x, 2.0f))}, {scale(gaussian<float>({9}), 2.0f)});
  };
  cudaSetDevice(1);  // of this thread alone
  on_second();
  std::thread([] { CHECK(cuda::current_device() == 0); }).join();
  cudaSetDevice(0);
  cuda::use_device(1);
  on_second();
  std::thread(on_second).join();
  cuda::use_device(0);
  CHECK(cuda::current_stream() == of_first);
  faults().devices = 1;
}

TEST_CASE("cuda device: a kernel that fails is named, with LORU_CUDA_SYNC=1 the right one") {
  const auto x = to_device(gaussian<float>({9}));
  const auto fail_in_scale = [&] {
    faults().kernel = 1;
    const auto y = scale(x, 2.0f);
    return relu(y);
  };
  CHECK_THROWS_WITH(
      fail_in_scale(),
      "cuda: kernel relu: an illegal memory access was encountered, here or in a kernel before it: "
      "LORU_CUDA_SYNC=1 names it");
  cuda::detail::wait_for_kernels() = true;
  CHECK_THROWS_WITH(fail_in_scale(), "cuda: kernel scale: an illegal memory access was encountered");
  cuda::detail::wait_for_kernels() = false;
  CHECK_THROWS_AS(cuda::Event(false).since(cuda::Event(false)),
                  cuda::CudaError);  // is not blamed on the next kernel
  CHECK_NOTHROW(scale(x, 2.0f));
}

TEST_CASE("cuda streams: a scope gives its thread another stream and gives it back") {
  const cudaStream_t main = cuda::current_stream();  // made on first use, for good
  const auto before = inventory();
  Array<float> made;
  {
    const cuda::Stream stream;
    CHECK(inventory().streams == before.streams + 1);
    const auto x = to_device(gaussian<float>({7}));
    {
      const cuda::StreamScope scope(stream);
      CHECK(cuda::current_stream() == stream.handle());
      made = scale(x, 2.0f);
      std::thread([&] { CHECK(cuda::current_stream() == main); }).join();
    }
    CHECK(cuda::current_stream() == main);
  }
  check_exact<float>({to_host(made)}, {scale(gaussian<float>({7}), 2.0f)});
  made = {};
  CHECK(inventory().streams == before.streams);
  CHECK(inventory().events == before.events);
  CHECK(inventory().allocations == before.allocations);
}

TEST_CASE("cuda streams: events with a clock tell times, others refuse") {
  const cuda::Event start(true), end(true), plain;
  start.record(cuda::current_stream());
  end.record(cuda::current_stream());
  plain.record(cuda::current_stream());
  end.synchronize();
  CHECK(end.since(start) >= 0.0f);
  CHECK_THROWS_WITH(plain.since(start), ContainsSubstring("cudaEventElapsedTime") &&
                                            ContainsSubstring("invalid resource handle") &&
                                            ContainsSubstring("stream.hpp:"));
}
