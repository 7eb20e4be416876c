#include <loru/core/memory.hpp>

#include <cstdint>
#include <cstring>
#include <thread>

#include <loru/core/tensor.hpp>

#include "support/catch.hpp"

using namespace loru;

namespace {

std::uint64_t taken() { return memory::statistics().system_allocations; }

/// A size that no other test uses, so that the lists hold nothing of it yet.
constexpr std::size_t odd_size = 7'654'321;

}  // namespace

TEST_CASE("memory: size classes waste at most a quarter") {
  using memory::detail::size_class;
  for (std::size_t bytes = 1; bytes < 70000; ++bytes) {
    const auto size = size_class(bytes), next = size_class(bytes + 1);
    const bool fits = size.bytes >= bytes && size.bytes % 64 == 0;
    const bool lean = bytes <= 256 || 4 * (size.bytes - bytes) <= size.bytes;
    const bool one_size_a_class =
        size.bytes == next.bytes ? size.index == next.index : size.index < next.index;
    if (!fits || !lean || !one_size_a_class) FAIL("a request of " << bytes << " bytes");
  }
  CHECK(size_class(std::size_t{1} << 40).index < memory::detail::classes);
}

TEST_CASE("memory: buffers are aligned and counted") {
  const Buffer a = memory::allocate_host(100);
  CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
  CHECK(a.capacity() >= 100);
  CHECK(a.unique());
  {
    const Buffer b = a;
    CHECK(b.data() == a.data());
    CHECK_FALSE(a.unique());
  }
  CHECK(a.unique());
  Buffer moved = a;
  const Buffer target = std::move(moved);
  CHECK_FALSE(a.unique());
  CHECK(target.data() == a.data());
  CHECK_FALSE(Buffer{});
  CHECK(Buffer{}.data() == nullptr);
}

TEST_CASE("memory: a released buffer is taken again") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  const void* first = memory::allocate_host(odd_size).data();
  const std::uint64_t before = taken();
  const Buffer again = memory::allocate_host(odd_size - 1000);  // the same size class
  CHECK(again.data() == first);
  CHECK(taken() == before);
  const Buffer other = memory::allocate_host(odd_size);
  CHECK(other.data() != again.data());
  CHECK(taken() == before + 1);
  CHECK(memory::statistics().system_bytes >= 2 * odd_size);
}

TEST_CASE("memory: buffers cross threads") {
  constexpr std::size_t bytes = odd_size * 2;
  SECTION("released by another thread") {
    Buffer mine = memory::allocate_host(bytes);
    std::memset(mine.data(), 1, bytes);
    std::thread([handle = std::move(mine)]() mutable { handle = {}; }).join();
    CHECK_FALSE(mine);
  }
  SECTION("left behind by a thread that has ended") {
    std::thread([] { memory::allocate_host(bytes); }).join();
  }
  if (!memory::detail::reuse) return;
  const std::uint64_t before = taken();
  const Buffer again = memory::allocate_host(bytes);
  CHECK(taken() == before);
}

TEST_CASE("memory: trim gives unused buffers back") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  memory::allocate_host(odd_size * 3);
  memory::trim();
  const std::uint64_t before = taken();
  memory::allocate_host(odd_size * 3);
  CHECK(taken() == before + 1);
}

TEST_CASE("memory: a tensor returns its buffer") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  const Shape shape{3, 1021, 1031};
  const void* first = Tensor<float>(shape).data();
  CHECK(Tensor<float>(shape).data() == first);
}
