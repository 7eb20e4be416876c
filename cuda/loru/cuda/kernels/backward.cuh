#pragma once
// The whole backward pass of y = x Wᵀ + s (x Aᵀ) Bᵀ, in one of three forms:
//   one pass (r <= 64)  dx and dS in one kernel; then dB = dyᵀ S and dA = dSᵀ x, one reduction each
//   split               dS and dB in one kernel that reads dy once; then dx = dy W + dS A; then dA
//   apart               dS = s dy B; then dB, dx and dA as before: where a block has no memory for split's
// kernel The first two read dy twice, the last three times. The first computes dS again in each column of
// blocks of dx; the second writes parts of dS for every group of columns of dy and reads them back.
#include <loru/cuda/device/rates.hpp>
#include <loru/cuda/kernels/backward_dSdB.cuh>
#include <loru/cuda/kernels/backward_dx.cuh>
#include <loru/cuda/kernels/products_down.cuh>

namespace loru::cuda {

enum class BackwardForm { one_pass, split, apart };

/// Chooses the form with less work, apart from the work that both share, for dy (M, m) and x (M, n):
///   one pass: 2 M m R (columns of blocks - 1) operations, R = 16, 32 or 64;
///   split: 8 bytes for each element of dS and group of columns of dy, if there are several groups.
/// M cancels. Only the split form works without dx or beyond rank 64.
inline BackwardForm backward_form(int m, int n, int r, bool bf16, bool with_dx, const DeviceRates& rates) {
  if (!with_dx || r > 64) return BackwardForm::split;
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

/// Rows of a part of wideᵀ thin, wide of `columns` and thin of `ranks` columns.
inline int rows_of_reduction(int rows, int columns, int ranks) {
  return rows_of_part(rows, divide_up(columns, 128) * 128 * divide_up(ranks, 64));
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

/// Floats of workspace for wideᵀ thin over M rows.
inline std::int64_t reduction_workspace(int M, int columns, int ranks) {
  const int parts = divide_up(M, rows_of_reduction(M, columns, ranks));
  return parts == 1 ? 0 : std::int64_t{parts} * columns * ranks;
}

/// Floats of workspace that lora_backward needs for (M, m, n, r), in any form.
inline std::int64_t backward_workspace(int M, int m, int n, int r, bool bf16) {
  const BackwardCut cut(M, m, r, bf16);
  return std::max({cut.dS_floats(M, r) + cut.dB_floats(m, r), reduction_workspace(M, m, r),
                   reduction_workspace(M, n, r)});
}

/// sum = wideᵀ thin, or its transpose, over the cut that the shape asks for.
template <class Math, class Wide, class T = typename Math::Element>
void reduce_rows(const Wide& wide, Matrix<const T> thin, bool transposed, Matrix<float> sum, float* workspace,
                 cudaStream_t stream) {
  const int M = wide.rows, height = rows_of_reduction(M, wide.cols, thin.cols), parts = divide_up(M, height);
  const Gradient gradient{sum, 0, parts};
  reduce_rows<Math>(ReduceRows<T, OneClient<T>, OneGradient, Wide>{wide,
                                                                   thin,
                                                                   transposed,
                                                                   {{}, M, height},
                                                                   {gradient},
                                                                   workspace,
                                                                   std::int64_t{wide.cols} * thin.cols},
                    thin.cols, parts == 1, rows_aligned(wide) && rows_aligned(thin), stream);
}

/// dS = s dy B and dB = dyᵀ S; dB is not written where it has no data.
template <class Math, class T = typename Math::Element>
void lora_backward_factors(const Backward<T>& p, BackwardForm form, float* workspace, cudaStream_t stream) {
  const auto& [A, B, s] = p.client;
  if (form == BackwardForm::split)
    return lora_backward_dSdB<Math>({p.dy, B, p.S, s, p.dS, {p.dB, 0, 1}, 0, nullptr, nullptr}, workspace,
                                    stream);
  products_down<Math, 64, 64>("lora_backward_dS",
                              SplitDs<T, OneClient<T>>{p.dy, {p.client, p.dy.rows, 64}, p.dS},
                              rows_aligned(p.dy, B), stream);
  if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, workspace, stream);
}

/// Without dx the form is not one pass; fitting_form says which fit.
template <class Math, class T = typename Math::Element>
void lora_backward(const Backward<T>& p, BackwardForm form, float* workspace, cudaStream_t stream) {
  const OneClient<T> client{p.client, p.dy.rows, 128};
  const auto& [A, B, s] = p.client;
  if (!p.dx.data && !p.dA.data) {
    if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, workspace, stream);
    return;
  }
  if (form == BackwardForm::one_pass) {
    lora_backward_dx<Math>(BackwardDx<T, OneClient<T>>{p.dy, p.W, client, p.dx, p.dS}, A.rows,
                           rows_aligned(p.dy, p.W, A, B), stream);
    if (p.dB.data) reduce_rows<Math>(p.dy, p.S, false, p.dB, workspace, stream);
  } else {
    lora_backward_factors<Math>(p, form, workspace, stream);
    if (p.dx.data)
      products_down<Math, 128, 128>("lora_backward_dx_split",
                                    SplitDx<T, OneClient<T>>{p.dy, p.W, p.dS.read(), client, p.dx},
                                    rows_aligned(p.dy, p.W, p.dS, A), stream);
  }
  if (p.dA.data) reduce_rows<Math>(p.x, p.dS.read(), true, p.dA, workspace, stream);
}

}  // namespace loru::cuda
