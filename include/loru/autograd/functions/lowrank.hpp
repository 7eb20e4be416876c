#pragma once
// Layers whose weight is W + s·B·A, in the three graphs of docs/architecture.md (low-rank arithmetic).
//
// W (m, n) is a constant unless it requires a gradient, and may be kept in blocks; A (r, n) and B (m, r) are
// trained. For a convolution n runs over the kernel window, A keeps the window, stride, padding and dilation,
// and B is a 1×1 convolution. Each graph is one node.

#include <loru/autograd/functions/arithmetic.hpp>
#include <loru/autograd/functions/matmul.hpp>

namespace loru::inline LORU_ISA {

namespace detail {

/// The products of a dense layer.
struct LinearProducts {
  static constexpr const char* name = "lowrank_linear";

  template <class T, class D>
  Tensor<T, D> forward(const Tensor<T, D>& x, const Tensor<T, D>& w) const {
    return matmul(x, w, {.b = Op::transpose});
  }
  template <class T, class D>
  Tensor<T, D> input_gradient(const Tensor<T, D>& dy, const Tensor<T, D>& w, const Shape&) const {
    return matmul(dy, w, {});
  }
  template <class T, class D>
  Tensor<T, D> weight_gradient(const Tensor<T, D>& dy, const Tensor<T, D>& x, const Shape&) const {
    return matmul(dy, x, {.a = Op::transpose});
  }
  template <class T, class D>
  LowrankFeatures<T, D> factored(const Tensor<T, D>& x, const Variable<T, D>& w, const Tensor<T, D>& a,
                                 const Tensor<T, D>& b, double s) const {
    return with_matrix(w, [&](const auto& matrix) { return lowrank_forward(x, matrix, a, b, s); });
  }
  template <class T, class D>
  LowrankGradients<T, D> factored_gradients(const Tensor<T, D>& dy, const Tensor<T, D>& x,
                                            const Variable<T, D>& w, const Tensor<T, D>& a,
                                            const Tensor<T, D>& b, const Tensor<T, D>& low, double s,
                                            LowrankWanted wanted) const {
    return with_matrix(
        w, [&](const auto& matrix) { return lowrank_backward(dy, x, matrix, a, b, low, s, wanted); });
  }
};

/// dB = s·dW·Aᵀ and dA = s·Bᵀ·dW of dW (m, n).
template <class T, class D>
void project_gradient(const Tensor<T, D>& dw, const Variable<T, D>& a, const Variable<T, D>& b, Real<T> s) {
  const Index m = dw.dim(0), r = a.shape()[0];
  if (b.requires_grad()) {
    Tensor<T, D> db(Shape{m, r});
    matmul_into(db, s, dw, a.value().as_matrix(r), {.b = Op::transpose}, Real<T>(0));
    b.accumulate(db.reshape(b.shape()));
  }
  if (a.requires_grad()) {
    Tensor<T, D> da(Shape{r, dw.dim(1)});
    matmul_into(da, s, b.value().as_matrix(m), dw, {.a = Op::transpose}, Real<T>(0));
    a.accumulate(da.reinterpret(a.shape(), a.value().layout()));
  }
}

/// dB = s·dyᵀ·S, with S = x·Aᵀ as rows (M, r).
template <class T, class D>
void up_gradient(const Tensor<T, D>& dy, const Tensor<T, D>& low, const Variable<T, D>& b, Real<T> s) {
  Tensor<T, D> db(Shape{dy.dim(1), low.dim(1)});
  matmul_into(db, s, feature_rows(dy), low, {.a = Op::transpose}, Real<T>(0));
  b.accumulate(db.reshape(b.shape()));
}

/// dS = s·dy·B in the form of dy.
template <class T, class D>
Tensor<T, D> low_gradient(const Tensor<T, D>& dy, const Tensor<T, D>& b, Real<T> s) {
  const Tensor<T, D> rows = feature_rows(dy), up = b.as_matrix(dy.dim(1));
  Tensor<T, D> dlow(Shape{rows.dim(0), up.dim(1)});
  matmul_into(dlow, s, rows, up, {}, Real<T>(0));
  return features_like(dlow, dy.shape());
}

/// The gradient of a node's features in the memory that products on rows need.
template <class T, class D>
Tensor<T, D> channels_last(const Tensor<T, D>& dy) {
  return dy.rank() == 4 ? to_layout(dy, Layout::channels_last) : dy;
}

/// The factored graph, which a device computes as a whole: low = s·x·Aᵀ is kept.
template <class T, class D, class P>
Variable<T, D> factored_graph(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                              const Variable<T, D>& b, double s, const P& product) {
  const LowrankFeatures<T, D> f = product.factored(x.value(), w, a.value(), b.value(), s);
  return {P::name, f.y, {x, w, a, b}, [x, w, a, b, s, low = f.low, product](const Tensor<T, D>& dy_any) {
            const Tensor<T, D> dy = channels_last(dy_any);
            if (w.requires_grad()) w.accumulate(product.weight_gradient(dy, x.value(), w.shape()));
            const LowrankWanted wanted{x.requires_grad(), a.requires_grad(), b.requires_grad()};
            auto g = product.factored_gradients(dy, x.value(), w, a.value(), b.value(), low, s, wanted);
            if (wanted.db) b.accumulate(std::move(g.db));
            if (wanted.da) a.accumulate(std::move(g.da));
            if (wanted.dx) x.accumulate(std::move(g.dx));
          }};
}

/// W + s·B·A.
template <class T, class D>
Tensor<T, D> composed_weight(const Variable<T, D>& w, const Variable<T, D>& a, const Variable<T, D>& b,
                             double s) {
  return with_matrix(w, [&](const auto& matrix) { return lowrank_compose(matrix, a.value(), b.value(), s); });
}

/// y = x·W_effᵀ and dx = dy·W_eff, which is composed anew if W is in blocks. The factor gradients come either
/// through S and dS as above, or are projected from dW_eff = dyᵀ·x, which is also dW. The forward pass does
/// not need S, so S is computed in the backward pass.
template <class T, class D, class P>
Variable<T, D> composed_graph(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                              const Variable<T, D>& b, double s, bool full, const P& product) {
  const Tensor<T, D> composed = composed_weight(w, a, b, s);
  const Tensor<T, D> kept = w.blocks() ? Tensor<T, D>() : composed;
  return {P::name,
          product.forward(x.value(), composed),
          {x, w, a, b},
          [x, w, a, b, kept, s, full, product](const Tensor<T, D>& dy_any) {
            const Tensor<T, D> dy = channels_last(dy_any);
            const auto alpha = static_cast<Real<T>>(s);
            if (x.requires_grad())
              x.accumulate(product.input_gradient(dy, kept ? kept : composed_weight(w, a, b, s), x.shape()));
            if (full) {
              const Tensor<T, D> dw =
                  to_layout(product.weight_gradient(dy, x.value(), w.shape()), w.layout());
              w.accumulate(dw);
              return project_gradient(dw.as_matrix(w.shape()[0]), a, b, alpha);
            }
            if (b.requires_grad())
              up_gradient(dy, feature_rows(product.forward(x.value(), a.value())), b, alpha);
            if (a.requires_grad()) {
              const Tensor<T, D> dlow = low_gradient(dy, b.value(), alpha);
              a.accumulate(product.weight_gradient(dlow, x.value(), a.shape()));
            }
          }};
}

template <class T, class D, class P>
Variable<T, D> lowrank_layer(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                             const Variable<T, D>& b, double s, Plan plan, const P& product) {
  if (plan == Plan::factored) return factored_graph(x, w, a, b, s, product);
  // A trained W needs dW anyway.
  const bool full = plan == Plan::composed_full || w.requires_grad();
  return composed_graph(x, w, a, b, s, full, product);
}

}  // namespace detail

/// W_eff = W + s·B·A as a variable: dW = dW_eff, dB = s·dW_eff·Aᵀ, dA = s·Bᵀ·dW_eff.
template <class T, class D>
Variable<T, D> lowrank_compose(const Variable<T, D>& w, const Variable<T, D>& a, const Variable<T, D>& b,
                               double s) {
  return {"lowrank_compose",
          detail::composed_weight(w, a, b, s),
          {w, a, b},
          [w, a, b, s](const Tensor<T, D>& dw) {
            const Tensor<T, D> d = to_layout(dw, w.layout());
            w.accumulate(dw);
            detail::project_gradient(d.as_matrix(w.shape()[0]), a, b, static_cast<Real<T>>(s));
          }};
}

/// y = x·(W + s·B·A)ᵀ with x (M, n). Gradients, with S = x·Aᵀ and dS = s·dy·B:
/// dx = dy·W_eff (composed) or dy·W + dS·A (factored), dB = s·dyᵀ·S, dA = dSᵀ·x.
template <class T, class D>
Variable<T, D> lowrank_linear(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                              const Variable<T, D>& b, double s, Plan plan) {
  return detail::lowrank_layer(x, w, a, b, s, plan, detail::LinearProducts{});
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LOWRANK(TEMPLATE, T)                                                                 \
  TEMPLATE Variable<T> lowrank_compose<T, Cpu>(const Variable<T>&, const Variable<T>&, const Variable<T>&, \
                                               double);                                                    \
  TEMPLATE Variable<T> lowrank_linear<T, Cpu>(const Variable<T>&, const Variable<T>&, const Variable<T>&,  \
                                              const Variable<T>&, double, Plan);
#ifdef LORU_COMPILED
LORU_COMPILED_LOWRANK(extern template, float)
LORU_COMPILED_LOWRANK(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA
