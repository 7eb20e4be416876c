// A device declared before the rooms that are generic in devices are included.
#include "../support/other_device.hpp"

#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/nn.hpp>
#include <loru/optim/optim.hpp>

#include "seam.cuh"

template double seam::step(const other::Array<float>&, const other::Labels&,
                           const loru::nn::Weight<float, other::Device>&,
                           const loru::nn::Factored<float, other::Device>&);
