#pragma once
// Running something in every order of threads, and what the emulator says against it.
#include <emulator/fault.hpp>
#include <string>

#include "support/catch.hpp"

namespace loru_test {

/// Puts the emulator's options back as they were.
struct KeepOptions {
  loru::emulator::Options before = loru::emulator::options;
  KeepOptions() = default;
  KeepOptions(const KeepOptions&) = delete;
  KeepOptions& operator=(const KeepOptions&) = delete;
  ~KeepOptions() { loru::emulator::options = before; }
};

/// body() with threads forward, reverse and shuffled.
template <class Body>
void in_every_order(const Body& body) {
  const KeepOptions keep;
  for (const auto order : loru::emulator::all_orders) {
    loru::emulator::options.order = order;
    INFO("order of threads " << static_cast<int>(order));
    body();
  }
}

/// The message of the fault that body() meets, or nothing.
template <class Body>
std::string fault_of(const Body& body) {
  try {
    body();
  } catch (const loru::emulator::Fault& fault) {
    return fault.what();
  }
  return {};
}

}  // namespace loru_test
