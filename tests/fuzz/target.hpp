#pragma once
// A fuzz target: LORU_FUZZ(bytes) { read(bytes); }

#include <cstddef>
#include <cstdint>
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

}  // namespace fuzz

/// The function that follows reads the bytes; it may throw loru::Error.
#define LORU_FUZZ(bytes)                                                              \
  static void read_fuzzed(fuzz::Bytes bytes);                                         \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    try {                                                                             \
      read_fuzzed(std::as_bytes(std::span(data, size)));                              \
    } catch (const loru::Error&) {}                                                   \
    return 0;                                                                         \
  }                                                                                   \
  static void read_fuzzed(fuzz::Bytes bytes)
