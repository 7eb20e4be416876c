#pragma once
// Convolutions whose weight is W + s·B·A, in the factored form: in float by the fused kernels on windows (1 x
// 1 kernels with stride 1 as dense layers); in double, and where an extent is zero, out of the other ops.

#include <loru/cuda/ops/conv.cuh>
#include <loru/cuda/ops/elementwise.cuh>
#include <loru/cuda/ops/lowrank.cuh>
#include <loru/ops/unfused.hpp>

namespace loru::cuda {

namespace detail {

/// x, W and A are channels-last.
template <std::same_as<float> T>
LowrankFeatures<T, Cuda> fused_conv2d(const Array<T>& x, const Array<T>& w, const Array<T>& a,
                                      const Array<T>& b, double s, const ConvExtents& e) {
  const Index r = a.dim(0);
  const ConvShape shape = conv_shape(e);
  LowrankFeatures<T, Cuda> f{Array<T>(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last),
                             Array<T>(Shape{e.n * e.ho * e.wo, r})};
  Array<T> y = f.y.as_matrix(f.low.dim(0));
  const T* no_bias = nullptr;
  with_math([&]<class Math>(Math) {
    const auto form = forward_form(shape.pixels(), shape.m, shape.window(), static_cast<int>(r), sizeof(T),
                                   this_device().rates(Math::tensor_cores), this_device().multiprocessors);
    lora_forward<Math>(form, windows_of(x.data(), shape), view(w.as_matrix(e.cout)),
                       factors(a, b, e.cout, r, s), no_bias, false, view(y), view(f.low), queue());
  });
  return f;
}

template <std::same_as<float> T>
LowrankGradients<T, Cuda> fused_conv2d_backward(const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                                                const Array<T>& a, const Array<T>& b, const Array<T>& low,
                                                double s, const ConvExtents& e, LowrankWanted wanted) {
  const Index r = a.dim(0), pixels = low.dim(0);
  const ConvShape shape = conv_shape(e);
  LowrankGradients<T, Cuda> g;
  const Queue q = queue();
  Array<T> dx, da, dlow(low.shape()),
      workspace(
          Shape{backward_workspace(shape.pixels(), shape.m, static_cast<int>(r), false, q.multiprocessors)});
  Backward<T> p{view(dy.as_matrix(pixels)),
                view(x.as_matrix(e.n * e.h * e.w)),
                view(w.as_matrix(e.cout)),
                factors(a, b, e.cout, r, s),
                view(low),
                {},
                view(dlow),
                {},
                {}};
  if (wanted.dx) {
    g.dx = Array<T>(x.shape(), Layout::channels_last);
    p.dx = view(dx = g.dx.as_matrix(e.n * e.h * e.w));
  }
  if (wanted.da) {
    g.da = Array<T>(a.shape(), Layout::channels_last);
    p.dA = view(da = g.da.as_matrix(r));
  }
  if (wanted.db) p.dB = view(g.db = Array<T>(Shape{e.cout, r}));
  with_math([&]<class Math>(Math) {
    const auto form = fitting_form<Math>(BackwardForm::split, static_cast<int>(r), block_memory());
    lora_conv_backward<Math>(shape, p, form, workspace.data(), q);
  });
  if (wanted.db) g.db = g.db.reshape(b.shape());
  return g;
}

}  // namespace detail

template <class T>
LowrankFeatures<T, Cuda> lowrank_conv2d_forward(const Array<T>& x_any, const Array<T>& w_any,
                                                const Array<T>& a_any, const Array<T>& b, double s,
                                                const ConvOptions& o) {
  loru::detail::check_lowrank_conv("lowrank_conv2d_forward", w_any, a_any, b, o);
  const auto last = Layout::channels_last;
  const Array<T> x = to_layout(x_any, last), w = to_layout(w_any, last), a = to_layout(a_any, last);
  const detail::ConvExtents e(x.shape(), w.shape(), o);
  if (e.pointwise()) {
    auto f = lowrank_forward(loru::detail::feature_rows(x), w.as_matrix(e.cout), a.as_matrix(a.dim(0)),
                             b.as_matrix(e.cout), s);
    f.y = f.y.reinterpret({e.n, e.cout, e.ho, e.wo}, last);
    return f;
  }
  if constexpr (std::same_as<T, float>)
    if (detail::tiled(e) && a.size() > 0) return detail::fused_conv2d(x, w, a, b, s, e);
  return loru::detail::unfused_conv2d(x, w, a, b, s, o);
}

template <class T>
LowrankGradients<T, Cuda> lowrank_conv2d_backward(const Array<T>& dy_any, const Array<T>& x_any,
                                                  const Array<T>& w_any, const Array<T>& a_any,
                                                  const Array<T>& b, const Array<T>& low, double s,
                                                  const ConvOptions& o, LowrankWanted wanted) {
  loru::detail::check_lowrank_conv("lowrank_conv2d_backward", w_any, a_any, b, o);
  const auto last = Layout::channels_last;
  const Array<T> dy = to_layout(dy_any, last), x = to_layout(x_any, last), w = to_layout(w_any, last),
                 a = to_layout(a_any, last);
  const detail::ConvExtents e(x.shape(), w.shape(), o);
  loru::detail::check_gradient_shape("lowrank_conv2d_backward", dy.shape(), e);
  if (e.pointwise()) {
    using loru::detail::feature_rows;
    auto g = lowrank_backward(feature_rows(dy), feature_rows(x), w.as_matrix(e.cout), a.as_matrix(a.dim(0)),
                              b.as_matrix(e.cout), low, s, wanted);
    if (wanted.dx) g.dx = g.dx.reinterpret(x.shape(), last);
    if (wanted.da) g.da = g.da.reinterpret(a.shape(), last);
    if (wanted.db) g.db = g.db.reshape(b.shape());
    return g;
  }
  if constexpr (std::same_as<T, float>)
    if (detail::tiled(e) && a.size() > 0)
      return detail::fused_conv2d_backward(dy, x, w, a, b, low, s, e, wanted);
  return loru::detail::unfused_conv2d_backward(dy, x, w, a, b, low, s, o, wanted);
}

}  // namespace loru::cuda
