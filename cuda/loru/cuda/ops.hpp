#pragma once
// The ops of the CUDA device, declared. Shapes, formulas and what is thrown are documented at the host's ops
// of the same names (include/loru/cpu); loru/cuda/cuda.cuh defines them. Ops queue work on the current stream
// and return. Ops that return a number to the host wait for it, and so do those that check labels or numbers
// of rows: cross_entropy, embedding and token_loss with their gradients.

#include <vector>

#include <loru/cuda/device.hpp>
#include <loru/cuda/graph.hpp>
#include <loru/cuda/work.hpp>
#include <loru/ops/backend.hpp>

namespace loru::cuda {

using Labels = Array<std::int32_t>;

LORU_OPS(LORU_DECLARE_OP, T, Cuda)
LORU_SEQUENCE_OPS(LORU_DECLARE_OP, T, Cuda)
LORU_COPY_OPS(LORU_DECLARE_OP, T, Cuda)

// Ops that a device may have besides: what is above the ops takes the others where it has not. They spare
// launches, copies and waiting.

/// Updates many parameters, a few dozen in a launch, with the same bits as one update each. Gradients are
/// multiplied by o.gradient_scale or, unless it is empty, by scale[0].
template <class T>
void sgd_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const SgdStep& o,
                    const Array<double>& scale);
/// The same; o.step is each parameter's own.
template <class T>
void adam_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const AdamStep& o,
                     const Array<double>& scale);

/// min(1, limit / (‖g‖ + 1e-6)), ‖g‖ over all gradients together: shape ().
template <class T>
Array<double> clip_scale(const std::vector<const Array<T>*>& gradients, double limit);

/// The first of the tensors that has a number which is not finite, or how many tensors there are. One launch
/// for some hundreds of tensors; waits for the stream.
template <class T>
Index first_not_finite(const std::vector<const Array<T>*>& all);

/// normalise(x) with batch_moments(x); the running moments move in place, r' = (1 − momentum)·r +
/// momentum·batch, with the unbiased variance, unless they are empty.
template <class T>
BatchNormalised<T, Cuda> batch_normalise(const Array<T>& x, const Array<T>& gamma, const Array<T>& beta,
                                         double epsilon, Array<T>& mean, Array<T>& variance, double momentum,
                                         const Epilogue<Array<T>>& after);

/// cross_entropy for labels that are known to be classes: does not wait.
template <class T>
LossValue<T, Cuda> known_cross_entropy(const Array<T>& z, const Labels& labels);

/// y[position[1]] = x[0]; then the position (2) moves on by (rows, 1).
template <class T>
void put_loss(Array<T>& y, Labels& position, Index rows, const Array<T>& x);

/// What a training step is run by: see graph.hpp.
inline Recording step_recording(Cuda) { return {}; }
inline std::uint64_t graph_launches(Cuda) { return graph_launches(); }

/// gather_images and gather_labels in one launch, for the samples of `rows` from row position[0] on:
/// (N) numbers of samples, or (N, 4) = number, down, right, flip.
template <class T>
void gather_batch(Array<T>& y, Labels& y_labels, const Array<std::uint8_t>& images, const Labels& labels,
                  const Labels& rows, const Labels& position, const Array<double>& normalisation);
template <class T>
void gather_batch(Array<T>& y, Labels& y_labels, const Array<float>& images, const Labels& labels,
                  const Labels& rows, const Labels& position, const Array<double>& normalisation);

/// Adds a copy of each host tensor to `there`, in one copy; none where this thread has uploaded the same
/// bytes last.
template <class T>
void upload_all(std::vector<Array<T>>& there, const std::vector<Tensor<T>>& all);

/// Adds a copy of each tensor to `here`, in one copy. The elements are there when this returns.
template <class T>
void download_all(std::vector<Tensor<T>>& here, const std::vector<Array<T>>& all);

}  // namespace loru::cuda
