#pragma once
// Other devices than the one that is emulated at first.
#include <emulator/fault.hpp>

#include <loru/cuda/runtime.hpp>

namespace loru_test {

/// Shared memory that tests may give a block: the most that there is on the emulator, on a real device what
/// it has.
inline std::size_t most_block_memory() {
  return loru::emulator::present ? std::size_t{227} << 10 : loru::cuda::device_shared_memory().block;
}

/// While one is alive, the emulated device gives a block so many bytes of shared memory, and a multiprocessor
/// 1 KB more. On a real device it changes nothing.
class OnDevice {
 public:
  explicit OnDevice(std::size_t block_memory) {
    loru::emulator::device.block_memory = block_memory;
    loru::emulator::device.multiprocessor_memory = block_memory + 1024;
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { loru::emulator::device = before_; }

 private:
  loru::emulator::Device before_ = loru::emulator::device;
};

}  // namespace loru_test
