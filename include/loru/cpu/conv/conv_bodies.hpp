#pragma once
// The convolutions of conv.hpp. way.hpp says which method computes each.

#include <loru/cpu/conv/conv.hpp>
#include <loru/cpu/conv/lines.hpp>
#include <loru/cpu/conv/windows.hpp>
#include <loru/cpu/conv/winograd/winograd.hpp>
#include <loru/cpu/elementwise.hpp>

namespace loru::inline LORU_ISA {

template <std::floating_point T>
Tensor<T> conv2d(const Tensor<T>& x_any, const Tensor<T>& w_any, const ConvOptions& o) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last), w = to_layout(w_any, Layout::channels_last);
  const detail::ConvExtents e(x.shape(), w.shape(), o);
  const cpu::ConvWay way = cpu::conv_route(Direction::forward, e, std::same_as<T, float>).way;
  if constexpr (std::same_as<T, float>)
    if (way == cpu::ConvWay::winograd) return cpu::winograd::forward(e, x, w);
  if (way == cpu::ConvWay::lines) return cpu::lines_forward(e, x, w);
  if (way == cpu::ConvWay::windows) return cpu::windows_forward(e, x, w);
  Tensor<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last);
  cpu::gemm<T>(Op::none, Op::transpose, e.n * e.h * e.w, e.cout, e.cin, T(1), {x.data(), e.cin},
               {w.data(), e.cin}, T(0), {y.data(), e.cout});
  return y;
}

template <std::floating_point T>
Tensor<T> conv2d_backward_input(const Tensor<T>& dy_any, const Tensor<T>& w_any, const Shape& x_shape,
                                const ConvOptions& o) {
  const Tensor<T> dy = to_layout(dy_any, Layout::channels_last), w = to_layout(w_any, Layout::channels_last);
  const detail::ConvExtents e(x_shape, w.shape(), o);
  detail::check_gradient_shape("conv2d_backward_input", dy.shape(), e);
  const cpu::ConvRoute route = cpu::conv_route(Direction::input_gradient, e, std::same_as<T, float>);
  if (route.reversed) return conv2d(dy, cpu::reversed_weight(w), cpu::reversed(e).o);
  if constexpr (std::same_as<T, float>)
    if (route.way == cpu::ConvWay::winograd) return cpu::winograd::input_gradient(e, dy, w);
  return cpu::windows_input_gradient(e, dy, w);
}

template <std::floating_point T>
Tensor<T> conv2d_backward_weight(const Tensor<T>& dy_any, const Tensor<T>& x_any, const Shape& w_shape,
                                 const ConvOptions& o) {
  const Tensor<T> dy = to_layout(dy_any, Layout::channels_last), x = to_layout(x_any, Layout::channels_last);
  const detail::ConvExtents e(x.shape(), w_shape, o);
  detail::check_gradient_shape("conv2d_backward_weight", dy.shape(), e);
  const cpu::ConvWay way = cpu::conv_route(Direction::weight_gradient, e, std::same_as<T, float>).way;
  if constexpr (std::same_as<T, float>)
    if (way == cpu::ConvWay::winograd) return cpu::winograd::weight_gradient(e, dy, x);
  if (way == cpu::ConvWay::lines) return cpu::lines_weight_gradient(e, dy, x);
  if (way == cpu::ConvWay::windows) return cpu::windows_weight_gradient(e, dy, x);
  Tensor<T> dw(w_shape, Layout::channels_last);
  cpu::gemm<T>(Op::transpose, Op::none, e.cout, e.cin, e.n * e.h * e.w, T(1), {dy.data(), e.cout},
               {x.data(), e.cin}, T(0), {dw.data(), e.cin});
  return dw;
}

}  // namespace loru::inline LORU_ISA
