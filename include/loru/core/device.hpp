#pragma once
// Devices are tags: ops are free functions overloaded on them and found by argument-dependent lookup.

#include <concepts>
#include <cstddef>

#include <loru/core/memory.hpp>

namespace loru::inline LORU_ISA {

/// Memory that a Tensor can live in: `D::allocate(bytes)` gives an uninitialised, 64-byte aligned Buffer.
template <class D>
concept Device = requires(std::size_t bytes) {
  { D::allocate(bytes) } -> std::same_as<Buffer>;
  { D::name } -> std::convertible_to<const char*>;
};

/// The host.
struct Cpu {
  static constexpr const char* name = "cpu";
  static Buffer allocate(std::size_t bytes) { return memory::allocate_host(bytes); }
};

}  // namespace loru::inline LORU_ISA
