#pragma once
// A fuzz target: LORU_FUZZ(bytes) { read(bytes); }, or LORU_FUZZ_WITHIN(times, bytes) with more memory.

#include <sanitizer/allocator_interface.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include <loru/core/error.hpp>

namespace fuzz {

using Bytes = std::span<const std::byte>;

inline std::vector<std::byte> copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

inline std::string_view text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Counts the bytes that this thread holds, and ends the program above so many times the input and 1 MiB. The
/// first input is not counted: targets build models and read files for it.
class Memory {
 public:
  void begin(std::size_t input, std::ptrdiff_t times) {
    if (!installed_) __sanitizer_install_malloc_and_free_hooks(&took, &gave);
    most_ = installed_ ? times * static_cast<std::ptrdiff_t>(input) + (1 << 20) : PTRDIFF_MAX;
    installed_ = true;
    held_ = 0;
    counting_ = true;
  }
  void end() { counting_ = false; }

 private:
  static void took(const volatile void*, std::size_t size) {
    if (!counting_) return;
    held_ += static_cast<std::ptrdiff_t>(size);
    if (held_ <= most_) return;
    counting_ = false;
    std::fprintf(stderr, "fuzz: %td bytes held, expected at most %td\n", held_, most_);
    std::abort();
  }
  static void gave(const volatile void* p) {
    if (counting_ && p) held_ -= static_cast<std::ptrdiff_t>(__sanitizer_get_allocated_size(p));
  }

  inline static thread_local bool counting_ = false;
  inline static thread_local std::ptrdiff_t held_ = 0, most_ = 0;
  bool installed_ = false;
};

}  // namespace fuzz

/// The function that follows reads the bytes and holds at most `times` as many; it may throw loru::Error.
#define LORU_FUZZ_WITHIN(times, bytes)                                                \
  static void read_fuzzed(fuzz::Bytes bytes);                                         \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    static fuzz::Memory memory;                                                       \
    memory.begin(size, times);                                                        \
    try {                                                                             \
      read_fuzzed(std::as_bytes(std::span(data, size)));                              \
    } catch (const loru::Error&) {}                                                   \
    memory.end();                                                                     \
    return 0;                                                                         \
  }                                                                                   \
  static void read_fuzzed(fuzz::Bytes bytes)

/// What reads files and messages.
#define LORU_FUZZ(bytes) LORU_FUZZ_WITHIN(16, bytes)
