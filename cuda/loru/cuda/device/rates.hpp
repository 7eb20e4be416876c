#pragma once
// The rates by which one of two forms of a kernel is chosen, besides its shape.

namespace loru::cuda {

/// The peak of a device: floating-point operations of one kind a second, bytes of memory a second.
struct DeviceRates {
  double flops, bandwidth;
};

}  // namespace loru::cuda
