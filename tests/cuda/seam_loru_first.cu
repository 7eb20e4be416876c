// A device declared after the library is included whole.
#include <loru/loru.hpp>

#include "../support/other_device.hpp"
#include "seam.cuh"

template double seam::step(const other::Array<float>&, const other::Labels&,
                           const loru::nn::Weight<float, other::Device>&,
                           const loru::nn::Factored<float, other::Device>&);
template double seam::step(const loru::Tensor<double>&, const loru::Tensor<std::int32_t>&,
                           const loru::nn::Weight<double>&, const loru::nn::Factored<double>&);
