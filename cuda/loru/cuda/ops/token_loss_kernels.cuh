#pragma once
// What a token loss does with a block of logits.

#include <cmath>

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/softmax.cuh>

namespace loru::cuda::detail {

/// What is known of a row on its way through the classes: the largest logit, the first class that has it, Σ
/// e^(z − most), the target's logit.
template <class T>
struct LossState {
  T most, sum, of_target;
  Index best;
};

/// Takes `classes` logits of each row, those of the classes from `from` on. A warp a row.
template <class T>
__global__ void __launch_bounds__(fold_threads)
    loss_states_kernel(Index rows, Index from, Index classes, const T* z, const std::int32_t* targets,
                       LossState<T>* states) {
  const Index row = static_cast<Index>(blockIdx.x) * fold_warps + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  z += row * classes;
  LossState<T> s{T(-INFINITY), T(0), T(0), -1};
  if (from > 0) s = states[row];
  T here = T(-INFINITY);
  for (Index j = lane; j < classes; j += 32) here = Greater{}(here, z[j]);
  here = fold_warp(here, Greater{});
  const T most = Greater{}(s.most, here);
  T sum = T(0);
  Index best = classes;
  for (Index j = lane; j < classes; j += 32) {
    sum += std::exp(z[j] - most);
    if (best == classes && z[j] == here) best = j;
  }
  sum = fold_warp(sum, Plus{});
  best = fold_warp(best, Least{});
  if (lane > 0) return;
  const Index target = targets[row] - from;
  if (target >= 0 && target < classes) s.of_target = z[target];
  if (here > s.most) s.best = from + best;
  s.sum = (from > 0 ? s.sum * std::exp(s.most - most) : T(0)) + sum;
  s.most = most;
  states[row] = s;
}

/// Loss, hit and logarithm of the sum of packed row i.
template <class T>
struct FinishLoss {
  const LossState<T>* states;
  const std::int32_t *rows, *targets;
  T *values, *log_sum;
  __device__ void operator()(Index i) const {
    const LossState<T>& s = states[i];
    const Index row = rows[i];
    log_sum[row] = s.most + std::log(s.sum);
    values[2 * row] = log_sum[row] - s.of_target;
    values[2 * row + 1] = s.best == targets[i] ? T(1) : T(0);
  }
};

/// Logits become (softmax(z) − onehot) · dvalue, or with no dvalues softmax(z).
template <class T>
struct LossSlope {
  T* z;
  const T *log_sum, *dvalues;
  const std::int32_t *rows, *targets;
  Index from, classes;
  __device__ void operator()(Index i) const {
    const Index row = rows[i / classes];
    const T p = std::exp(z[i] - log_sum[row]);
    z[i] = !dvalues ? p
                    : scalar::cross_entropy_gradient(p, targets[i / classes] == from + i % classes,
                                                     dvalues[2 * row]);
  }
};

/// slope = Σ p · w of packed row i / d, less the target's row of w.
template <class T>
struct RowSlope {
  const T *mean, *w;
  const std::int32_t *rows, *targets;
  T* slope;
  Index d;
  __device__ void operator()(Index i) const {
    const Index row = i / d, j = i % d;
    slope[rows[row] * d + j] = mean[i] - w[targets[row] * d + j];
  }
};

/// Row i / d of x times its derivative of the loss.
template <class T>
struct TimesValue {
  const T *x, *dvalues;
  T* y;
  Index d;
  __device__ void operator()(Index i) const { y[i] = x[i] * dvalues[i / d * 2]; }
};

}  // namespace loru::cuda::detail
