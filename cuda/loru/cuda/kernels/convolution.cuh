#pragma once
// Convolutions as products whose left operand is gathered from the image tile by tile (implicit GEMM), dense
// or with low-rank factors, on the kernels of dense layers.
//   forward   y = windows(x) Wᵀ + S Bᵀ, S = s windows(x) Aᵀ: lora_forward on windows, in either of its forms
//   backward  dS = s dy B and dB = dyᵀ S, pixel by pixel; dA = dSᵀ windows(x);
//             dx = reach(dy) W + reach(dS) A in one K loop over the kernel's places and the channels of y,
//             then those of S
// Images are channels last, so that a pixel's channels are a row. W (m, window) and A (r, window) hold the
// kernel's places and then channels in a row. Strides leave zeros in reach(dy), which are multiplied too.
#include <loru/cuda/device/windows.cuh>
#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/forward.cuh>

namespace loru::cuda {

/// dx (input_pixels, c) = reach(dy) W + reach(dS) A; without factors the second product is empty.
template <class T>
struct ConvDx {
  Windows<T, true> dy, dS;
  PlaceRows<T> W, A;
  OneClient<T> clients;
  Matrix<T> dx;

  __device__ ProductsOfBlock<T, Windows<T, true>, PlaceRows<T>> of(const RowBlock& block) const {
    return {rows_before(dy, block.last), W, rows_before(dS, block.last), A, 1.0f,
            rows_before(dx, block.last)};
  }
  static constexpr int products = 2;
  int columns() const { return dx.cols; }
};

/// The forward pass of a convolution without factors: x (n, h, w, c), W (m, window), y (pixels, m).
template <class Math, class T = typename Math::Element>
void conv_forward(const ConvShape& shape, const T* x, Matrix<const T> W, Matrix<T> y, const Queue& queue) {
  const auto windows = windows_of(x, shape);
  const bool aligned = rows_aligned(windows) && rows_aligned(W);
  lora_forward_y<Math>(
      Forward<T, OneClient<T>, Windows<T, false>>{windows, W, {{}, windows.rows, 128}, nullptr, false, y, {}},
      {aligned, aligned}, queue);
}

/// dx of a convolution: dy (n, ho, wo, m), W (m, window), dx (input_pixels, c); with factors dS (pixels, r)
/// and A (r, window), without them empty.
template <class Math, class T = typename Math::Element>
void conv_backward_dx(const ConvShape& shape, Matrix<const T> dy, Matrix<const T> W, Matrix<const T> dS,
                      Matrix<const T> A, Matrix<T> dx, const Queue& queue) {
  ConvDx<T> p{reach_of(dy.data, shape, shape.m),
              {},
              place_rows(W.data, shape.m, shape.places(), shape.c),
              {},
              {},
              dx};
  const bool aligned = rows_aligned(dy, W) && rows_aligned(p.dy) && rows_aligned(p.W);
  bool aligned_last = aligned;
  if (A.rows > 0) {
    p.dS = reach_of(dS.data, shape, A.rows);
    p.A = place_rows(A.data, A.rows, shape.places(), shape.c);
    aligned_last = rows_aligned(dS, A) && rows_aligned(p.dS) && rows_aligned(p.A);
  }
  const int steps = tiles_of<Math>(p.dy.cols) + tiles_of<Math>(A.rows > 0 ? p.dS.cols : 0);
  with_product_tile(dx.rows, dx.cols, [&]<int Rows, int Cols>(TileOf<Rows, Cols>) {
    p.clients = {{}, dx.rows, Rows};
    products_down<Math, Rows, Cols>("conv_backward_dx", p, {aligned, aligned_last}, steps, queue);
  });
}

/// dW (m, window) = dyᵀ windows(x): x (n, h, w, c), dy (pixels, m).
template <class Math, class T = typename Math::Element>
void conv_backward_dW(const ConvShape& shape, Matrix<const T> dy, const T* x, Matrix<float> dW,
                      const Queue& queue) {
  reduce_rows<Math>(windows_of(x, shape), dy, true, dW, queue);
}

/// The backward pass of a convolution with factors: dy (pixels, m), x (input_pixels, c), W (m, window), A (r,
/// window), B (m, r), S = s windows(x) Aᵀ (pixels, r). dS (pixels, r) is scratch; of dx (input_pixels, c), dA
/// (r, window) and dB (m, r) those without data are not wanted. The form is split or apart, the workspace
/// lora_backward's for (pixels, m, r).
template <class Math, class T = typename Math::Element>
void lora_conv_backward(const ConvShape& shape, const Backward<T>& p, BackwardForm form, float* workspace,
                        const Queue& queue) {
  const Matrix<const T>& A = p.client.A;
  if (!p.dx.data && !p.dA.data) {
    if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, queue);
    return;
  }
  lora_backward_factors<Math>(p, form, workspace, queue);
  if (p.dx.data) conv_backward_dx<Math>(shape, p.dy, p.W, p.dS.read(), A, p.dx, queue);
  if (p.dA.data) reduce_rows<Math>(windows_of(p.x.data, shape), p.dS.read(), true, p.dA, queue);
}

}  // namespace loru::cuda
