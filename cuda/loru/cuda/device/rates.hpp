#pragma once
// What the choice between two forms of a kernel depends on, beside its shape.

namespace loru::cuda {

/// What a device does at best: floating-point operations of one kind a second, bytes of memory a second.
struct DeviceRates {
  double flops, bandwidth;
};

}  // namespace loru::cuda
