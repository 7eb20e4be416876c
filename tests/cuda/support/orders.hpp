#pragma once
// Running something in every order of threads, and what the emulator says against it.
#include <emulator/fault.hpp>
#include <string>

#include "support/catch.hpp"

namespace loru_test {

/// body() with threads forward, reverse and shuffled.
template <class Body>
void in_every_order(const Body& body) {
  for (const auto order : loru::emulator::all_orders) {
    loru::emulator::options.order = order;
    INFO("order of threads " << static_cast<int>(order));
    body();
  }
  loru::emulator::options.order = loru::emulator::Order::forward;
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
