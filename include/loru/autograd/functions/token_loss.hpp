#pragma once
// Losses of rows of features under a wide head.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// Loss and hit of every row of h (M, d) under the head w (V, d): values (M, 2), zero where there is no
/// target. Only losses have a derivative. The derivative with respect to h comes with the forward pass; a
/// head that is trained has its logits computed once more. A constant head may be kept in blocks.
template <class T, class D>
  requires SequenceBackend<D, T>
Variable<T, D> token_loss(const Variable<T, D>& h, const Variable<T, D>& w,
                          const Tensor<std::int32_t, D>& targets) {
  const bool recorded = !NoGrad::active() && h.requires_grad();
  const TokenLoss<T, D> r =
      with_matrix(w, [&](const auto& matrix) { return token_loss(h.value(), matrix, targets, recorded); });
  return {"token_loss", r.values, {h, w}, [h, w, targets, r](const Tensor<T, D>& dvalues) {
            const auto d = with_matrix(w, [&](const auto& matrix) {
              return token_loss_backward(dvalues, h.value(), matrix, targets, r, w.requires_grad());
            });
            if (d.dh) h.accumulate(d.dh);
            if (d.dw) w.accumulate(d.dw);
          }};
}

}  // namespace loru::inline LORU_ISA
