#pragma once
// Where tests start the low-rank kernels.
#include <cmath>
#include <vector>

#include <loru/cuda/device/pieces.cuh>

#include "cuda/support/device_memory.hpp"

namespace loru_test {

/// The legacy default stream of a device of so many multiprocessors, with memory for pieces of sums. With one
/// no sum is cut.
class TestQueue {
 public:
  explicit TestQueue(int multiprocessors, int stages = 3)
      : sums_(std::vector<float>(static_cast<std::size_t>(loru::cuda::piece_floats(multiprocessors)), NAN)),
        tickets_(std::vector<unsigned>(static_cast<std::size_t>(loru::cuda::piece_tickets(multiprocessors)))),
        queue_{nullptr, multiprocessors, stages, {sums_.data(), tickets_.data()}} {}

  operator const loru::cuda::Queue&() const { return queue_; }

  /// Whether all tickets are back at zero.
  bool at_rest() const {
    std::vector<unsigned> tickets(static_cast<std::size_t>(tickets_.size()));
    tickets_.get(tickets);
    return tickets == std::vector<unsigned>(tickets.size());
  }

 private:
  DeviceMemory<float> sums_;
  DeviceMemory<unsigned> tickets_;
  loru::cuda::Queue queue_;
};

/// Multiprocessors for which small problems have several pieces.
inline constexpr int few_multiprocessors = 12;

}  // namespace loru_test
