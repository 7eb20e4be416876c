#pragma once
// Cross-entropy of features under a wide head, by blocks of rows and classes: products by cuBLAS, one block
// of logits at a time.

#include <loru/cuda/ops/embedding.cuh>
#include <loru/cuda/ops/matmul.cuh>
#include <loru/cuda/ops/token_loss_kernels.cuh>

namespace loru::cuda {

namespace detail {

/// Rows and classes of a block of logits: 16 MB of floats.
inline constexpr Index loss_rows = 1024, loss_classes = 4096;

/// The rows that have a target, packed: which they are, their targets and their features. The host reads the
/// targets, and throws ShapeError for one outside the classes.
template <class T>
struct TargetRows {
  Index count = 0, d;
  Labels rows, targets;
  Array<T> features;  // (count, d)

  TargetRows(const char* where, const Array<T>& h, const Labels& targets_of_all, Index classes)
      : d{h.dim(1)} {
    Tensor<std::int32_t> all(targets_of_all.shape());
    copy_to_host(all, targets_of_all);
    std::vector<std::int32_t> chosen;
    for (Index i = 0; i < all.size(); ++i) {
      const std::int32_t target = all.data()[i];
      if (target == no_target) continue;
      if (target < 0 || target >= classes) loru::detail::fail_label(where, target, i, classes);
      chosen.push_back(static_cast<std::int32_t>(i));
    }
    count = static_cast<Index>(chosen.size());
    Tensor<std::int32_t> table(Shape{count});
    std::copy(chosen.begin(), chosen.end(), table.data());
    rows = upload(table);
    for (Index i = 0; i < count; ++i) table.data()[i] = all.data()[chosen[static_cast<std::size_t>(i)]];
    targets = upload(table);
    features = count == h.dim(0) ? h : Array<T>(Shape{count, d});
    if (count < h.dim(0))
      for_each(where, features.size(), GatherRow<T>{h.data(), rows.data(), features.data(), d});
  }
};

/// z (rows, classes) = the logits of packed rows [first, ...) and classes [from, ...) of the head w.
template <class T>
void block_logits(const TargetRows<T>& of, const Array<T>& w, Index first, Index rows, Index from,
                  Index classes, T* z) {
  blas_gemm(false, true, rows, classes, of.d, T(1), of.features.data() + first * of.d, of.d,
            w.data() + from * of.d, of.d, T(0), z);
}

/// f(first, count) for blocks of at most `most` of n.
template <class F>
void in_blocks(Index n, Index most, F f) {
  for (Index first = 0; first < n; first += most) f(first, std::min(most, n - first));
}

/// Elements of the largest block of logits.
template <class T>
Array<T> logits_of(const TargetRows<T>& of, Index classes) {
  return Array<T>(Shape{std::min(of.count, loss_rows) * std::min(classes, loss_classes)});
}

/// First pass over the classes of packed rows [first, first + rows): r's values and log_sum.
template <class T>
void sum_classes(const TargetRows<T>& of, const Array<T>& w, Index first, Index rows, Array<T>& z,
                 TokenLoss<T, Cuda>& r) {
  Array<LossState<T>> states(Shape{rows});
  in_blocks(w.dim(0), loss_classes, [&](Index from, Index classes) {
    block_logits(of, w, first, rows, from, classes, z.data());
    launch("token_loss", loss_states_kernel<T>,
           dim3(static_cast<unsigned>((rows + fold_warps - 1) / fold_warps)), dim3(fold_threads), 0,
           current_stream(), rows, from, classes, std::as_const(z).data(), of.targets.data() + first,
           states.data());
  });
  for_each("token_loss", rows,
           FinishLoss<T>{states.data(), of.rows.data() + first, of.targets.data() + first, r.values.data(),
                         r.log_sum.data()});
}

/// Second pass: r's slope.
template <class T>
void average_classes(const TargetRows<T>& of, const Array<T>& w, Index first, Index rows, Array<T>& z,
                     TokenLoss<T, Cuda>& r) {
  Array<T> mean(Shape{rows, of.d});
  const std::int32_t *numbers = of.rows.data() + first, *targets = of.targets.data() + first;
  in_blocks(w.dim(0), loss_classes, [&](Index from, Index classes) {
    block_logits(of, w, first, rows, from, classes, z.data());
    for_each("token_loss", rows * classes,
             LossSlope<T>{z.data(), r.log_sum.data(), nullptr, numbers, targets, from, classes});
    blas_gemm(false, false, rows, of.d, classes, T(1), std::as_const(z).data(), classes,
              w.data() + from * of.d, of.d, from == 0 ? T(0) : T(1), mean.data());
  });
  for_each("token_loss", mean.size(),
           RowSlope<T>{mean.data(), w.data(), numbers, targets, r.slope.data(), of.d});
}

/// dw = (softmax(z) − onehot)ᵀ · (dvalues ⊙ h), with the logits computed again.
template <class T>
Array<T> head_gradient(const Array<T>& dvalues, const Array<T>& h, const Array<T>& w, const Labels& targets,
                       const Array<T>& log_sum) {
  const TargetRows<T> of("token_loss_backward", h, targets, w.dim(0));
  Array<T> dw(w.shape()), z = logits_of(of, w.dim(0));
  if (of.count == 0) fill(dw, T(0));
  in_blocks(w.dim(0), loss_classes, [&](Index from, Index classes) {
    in_blocks(of.count, loss_rows, [&](Index first, Index rows) {
      block_logits(of, w, first, rows, from, classes, z.data());
      for_each("token_loss_backward", rows * classes,
               LossSlope<T>{z.data(), log_sum.data(), dvalues.data(), of.rows.data() + first,
                            of.targets.data() + first, from, classes});
      blas_gemm(true, false, classes, of.d, rows, T(1), std::as_const(z).data(), classes,
                of.features.data() + first * of.d, of.d, first == 0 ? T(0) : T(1), dw.data() + from * of.d);
    });
  });
  return dw;
}

}  // namespace detail

/// Two passes over the classes of each block of rows: the first sums, the second, with the logits computed
/// again, gives the slope.
template <class T>
TokenLoss<T, Cuda> token_loss(const Array<T>& h, const Array<T>& w, const Labels& targets, bool slope) {
  loru::detail::check_token_loss("token_loss", h.shape(), w.shape(), targets.shape());
  const detail::TargetRows<T> of("token_loss", h, targets, w.dim(0));
  TokenLoss<T, Cuda> r{Array<T>(Shape{h.dim(0), 2}), Array<T>(Shape{h.dim(0)}),
                       slope ? Array<T>(h.shape()) : Array<T>()};
  fill(r.values, T(0));
  fill(r.log_sum, T(0));
  if (slope) fill(r.slope, T(0));
  Array<T> z = detail::logits_of(of, w.dim(0));
  detail::in_blocks(of.count, detail::loss_rows, [&](Index first, Index rows) {
    detail::sum_classes(of, w, first, rows, z, r);
    if (slope) detail::average_classes(of, w, first, rows, z, r);
  });
  return r;
}

template <class T>
TokenLossGradients<T, Cuda> token_loss_backward(const Array<T>& dvalues, const Array<T>& h, const Array<T>& w,
                                                const Labels& targets, const TokenLoss<T, Cuda>& kept,
                                                bool dw) {
  loru::detail::check_token_loss_backward("token_loss_backward", dvalues, h, w.shape(), targets.shape(),
                                          kept);
  TokenLossGradients<T, Cuda> g;
  if (kept.slope) {
    g.dh = Array<T>(h.shape());
    detail::for_each("token_loss_backward", g.dh.size(),
                     detail::TimesValue<T>{kept.slope.data(), dvalues.data(), g.dh.data(), h.dim(1)});
  }
  if (dw) g.dw = detail::head_gradient(dvalues, h, w, targets, kept.log_sum);
  return g;
}

}  // namespace loru::cuda
