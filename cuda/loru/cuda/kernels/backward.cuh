#pragma once
// The whole backward pass of y = x Wᵀ + s (x Aᵀ) Bᵀ, in one of three forms:
//   one pass (r <= 64)  dx and dS in one kernel; then dB = dyᵀ S and dA = dSᵀ x, one reduction each
//   split               dS and dB in one kernel that reads dy once; then dx = dy W + dS A; then dA
//   apart               dS = s dy B; then dB, dx and dA as before: where a block has no memory for split's
// kernel. The first two read dy twice, the last three times. The first computes dS again in each column of
// blocks of dx; the second writes parts of dS for every group of columns of dy and reads them back.
#include <loru/cuda/device/rates.hpp>
#include <loru/cuda/kernels/backward_dSdB.cuh>
#include <loru/cuda/kernels/backward_dx.cuh>
#include <loru/cuda/kernels/products_down.cuh>

namespace loru::cuda {

enum class BackwardForm { one_pass, split, apart };

/// Chooses the form for dy (M, m) and x (M, n). One pass has no pieces: where its 128 x 128 blocks leave
/// multiprocessors without work, and its loop over m is long, and where the rows of B are not aligned, it is
/// split. Otherwise the form with less work, apart from the work that both share:
///   one pass: 2 M m R (columns of blocks - 1) operations, R = 16, 32 or 64;
///   split: 8 bytes for each element of dS and group of columns of dy, if there are several groups.
/// M cancels. Only the split form works without dx or beyond rank 64.
inline BackwardForm backward_form(int M, int m, int n, int r, bool bf16, bool with_dx,
                                  const DeviceRates& rates, int multiprocessors) {
  const int size = bf16 ? 2 : 4;
  if (!with_dx || r > 64 || r * size % 16 != 0 ||
      !fills(divide_up(M, 128) * divide_up(n, 128), divide_up(m * size, 64), multiprocessors))
    return BackwardForm::split;
  const int bucket = r <= 16   ? 16
                     : r <= 32 ? 32
                               : 64,
            groups = divide_up(m, BackwardCut::columns(r, bf16) * 128);
  const double one_pass = 2.0 * m * bucket * (divide_up(n, 128) - 1) / rates.flops;
  const double split = groups == 1 ? 0 : 8.0 * r * groups / rates.bandwidth;
  return one_pass < split ? BackwardForm::one_pass : BackwardForm::split;
}

/// The form itself, or apart in the place of a split one that does not fit into the shared memory of a block.
template <class Math>
BackwardForm fitting_form(BackwardForm form, int r, std::size_t block_memory) {
  return form == BackwardForm::split && !backward_dSdB_fits<Math>(r, block_memory) ? BackwardForm::apart
                                                                                   : form;
}

/// dy (M, m), x (M, n), W (m, n), A (r, n), B (m, r), S = s x Aᵀ (M, r). dS (M, r) is scratch; of dx (M, n),
/// dA (r, n) and dB (m, r) those without data are not wanted.
template <class T>
struct Backward {
  Matrix<const T> dy, x, W;
  Client<T> client;
  Matrix<const T> S;
  Matrix<T> dx, dS;
  Matrix<float> dA, dB;
};

/// Floats of workspace that lora_backward needs for (M, m, r), in any form.
inline std::int64_t backward_workspace(int M, int m, int r, bool bf16, int multiprocessors) {
  return BackwardCut(M, m, r, bf16, multiprocessors).dS_floats(M, r);
}

/// dS = s dy B and dB = dyᵀ S; dB is not written where it has no data.
template <class Math, class T = typename Math::Element>
void lora_backward_factors(const Backward<T>& p, BackwardForm form, float* workspace, const Queue& queue) {
  const auto& [A, B, s] = p.client;
  if (form == BackwardForm::split)
    return lora_backward_dSdB<Math>({p.dy, B, p.S, s, p.dS, p.dB}, workspace, queue);
  const bool aligned = rows_aligned(p.dy, B);
  products_down<Math, 64, 64>("lora_backward_dS",
                              SplitDs<T, OneClient<T>>{p.dy, {p.client, p.dy.rows, 64}, p.dS},
                              {aligned, aligned}, tiles_of<Math>(p.dy.cols), queue);
  if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, queue);
}

/// dx = dy W + dS A.
template <class Math, class T = typename Math::Element>
void lora_backward_dx_split(const Backward<T>& p, const Queue& queue) {
  const int steps = tiles_of<Math>(p.dy.cols) + tiles_of<Math>(p.client.A.rows);
  with_product_tile(p.dx.rows, p.dx.cols, [&]<int Rows, int Cols>(TileOf<Rows, Cols>) {
    products_down<Math, Rows, Cols>(
        "lora_backward_dx_split",
        SplitDx<T, OneClient<T>>{p.dy, p.W, p.dS.read(), {p.client, p.dx.rows, Rows}, p.dx},
        {rows_aligned(p.dy, p.W), rows_aligned(p.dS, p.client.A)}, steps, queue);
  });
}

/// Without dx the form is not one pass; fitting_form says which fit.
template <class Math, class T = typename Math::Element>
void lora_backward(const Backward<T>& p, BackwardForm form, float* workspace, const Queue& queue) {
  const auto& [A, B, s] = p.client;
  if (!p.dx.data && !p.dA.data) {
    if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, queue);
    return;
  }
  if (form == BackwardForm::one_pass) {
    const OneClient<T> client{p.client, p.dy.rows, 128};
    lora_backward_dx<Math>(BackwardDx<T, OneClient<T>>{p.dy, p.W, client, p.dx, p.dS}, A.rows,
                           rows_aligned(p.dy, p.W, A, B), queue.stream);
    if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, queue);
  } else {
    lora_backward_factors<Math>(p, form, workspace, queue);
    if (p.dx.data) lora_backward_dx_split<Math>(p, queue);
  }
  if (p.dA.data) reduce_rows<Math>(p.x, p.dS.read(), true, p.dA, queue);
}

}  // namespace loru::cuda
