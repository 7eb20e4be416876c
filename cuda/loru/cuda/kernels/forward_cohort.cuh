#pragma once
// The forward pass of a cohort's layer over one shared W and bias: each client has its own rows of x and its
// own factors; one launch serves all clients. Ranks may differ. A client's results have the bits that the
// same form gives it alone, on a queue that cuts no sum.
#include <loru/cuda/kernels/forward.cuh>

namespace loru::cuda {

/// p.clients: blocks of 128 rows, each of one client; p.S (M, rank), of which a client uses its first
/// columns. rank is the largest. aligned: rows of all matrices, the clients' factors and S too, start on
/// 16-byte boundaries. One pass: rank at most 64.
template <class Math, class T = typename Math::Element>
void lora_forward_cohort(ForwardForm form, const Forward<T, Cohort<T>>& p, int rank, bool aligned,
                         const Queue& queue) {
  if (form == ForwardForm::one_pass) return lora_forward_one_pass<Math>(p, rank, aligned, queue);
  const Alignment all{aligned, aligned};
  constexpr int uncut = 0;
  products_across<Math, 128, 128>("lora_forward_S", SplitS<T, Cohort<T>>{p.x, p.clients, p.S}, all, uncut,
                                  queue);
  products_across<Math, 128, 128>("lora_forward_y", SplitY<T, Cohort<T>>{p, p.clients}, all, uncut, queue);
}

}  // namespace loru::cuda
