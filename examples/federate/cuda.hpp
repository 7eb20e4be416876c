#pragma once
// The CUDA device as the program knows it: cuda/present.cpp is built where the CUDA toolkit is found, else
// cuda/absent.cpp.

#include "federation.hpp"

namespace federate {

/// Makes the configuration's device and precision those of this process. Throws loru::Error saying what is
/// missing unless training can run on it.
void require_cuda(const Configuration& configuration);

/// make_planner for the CUDA device: without one only where the configuration sets all rates.
Planner make_cuda_planner(const Configuration& configuration);

/// train_on and evaluate_on (training.hpp) the CUDA device.
ExitCode train_on_cuda(Setup& setup, loru::data::Partition parts, const RunOptions& options);
loru::train::Evaluation evaluate_on_cuda(Setup& setup);

}  // namespace federate
