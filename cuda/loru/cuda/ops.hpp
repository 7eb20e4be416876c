#pragma once
// The ops of the CUDA device, declared. Shapes, formulas and what is thrown are documented at the host's ops
// of the same names (include/loru/cpu); loru/cuda/cuda.cuh defines them. Ops queue work on the current stream
// and return. Ops that return a number to the host wait for it, and so do those that check labels or numbers
// of rows: cross_entropy, embedding and token_loss with their gradients.

#include <vector>

#include <loru/cuda/device.hpp>
#include <loru/cuda/work.hpp>
#include <loru/ops/backend.hpp>

namespace loru::cuda {

using Labels = Array<std::int32_t>;

LORU_OPS(LORU_DECLARE_OP, T, Cuda)
LORU_SEQUENCE_OPS(LORU_DECLARE_OP, T, Cuda)
LORU_COPY_OPS(LORU_DECLARE_OP, T, Cuda)

/// Updates many parameters, a few dozen in a launch, with the same bits as one update each.
template <class T>
void sgd_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const SgdStep& o);
/// The same; o.step is each parameter's own.
template <class T>
void adam_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const AdamStep& o);

}  // namespace loru::cuda
