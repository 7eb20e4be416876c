// The tests on a device, from the same sources. Without a device they are skipped.
#include <cstdlib>
#include <string>

#include <emulator/runtime.hpp>

#include <loru/cuda/runtime.hpp>

#include "support/skip.hpp"

namespace {

const char* why_not() {
  ::setenv("LORU_CUDA_SYNC", "1", 1);
  static std::string reason;
  try {
    loru::cuda::require_device();
    return nullptr;
  } catch (const loru::cuda::NoDevice& error) {
    reason = error.what();
    return reason.c_str();
  }
}

[[maybe_unused]] const bool known = (loru_test::missing = why_not, true);

}  // namespace

namespace loru::emulator {

Faults& faults() {
  static Faults none;
  return none;
}

Inventory inventory() { return {}; }

}  // namespace loru::emulator
