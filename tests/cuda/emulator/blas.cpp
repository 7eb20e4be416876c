// The functions of cuBLAS that loru calls, on Eigen.
#include <cublas_v2.h>

#include <cstring>

#include <Eigen/Core>

#include "emulator/fault.hpp"
#include "emulator/runtime.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
  const void* workspace = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
};

namespace {

using loru::emulator::faults, loru::emulator::runtime::on_device;

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using View = Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>>;
template <class T>
using ConstView = Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>;

/// Elements that a column-major (rows, columns) matrix spans.
std::size_t span(int rows, int columns, int ld) {
  return static_cast<std::size_t>(columns - 1) * static_cast<std::size_t>(ld) +
         static_cast<std::size_t>(rows);
}

/// To the 10 bits of mantissa of tf32, nearest, ties away from zero.
void round_to_tf32(Matrix<float>& m) {
  for (float& v : m.reshaped()) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &v, sizeof v);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & 0xffffe000u;
    std::memcpy(&v, &bits, sizeof v);
  }
}

template <class T>
Matrix<T> operand(cublasHandle_t h, bool transpose, int rows, int columns, const T* data, int ld) {
  const ConstView<T> view(data, transpose ? columns : rows, transpose ? rows : columns,
                          Eigen::OuterStride<>(ld));
  Matrix<T> m = transpose ? Matrix<T>(view.transpose()) : Matrix<T>(view);
  if constexpr (sizeof(T) == 4)
    if (h->math == CUBLAS_TF32_TENSOR_OP_MATH) round_to_tf32(m);
  return m;
}

template <class T>
cublasStatus_t gemm(cublasHandle_t h, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
                    const T* alpha, const T* a, int lda, const T* b, int ldb, const T* beta, T* c, int ldc) {
  namespace runtime = loru::emulator::runtime;
  if (runtime::recording()) {
    runtime::record([=, alpha = *alpha, beta = *beta] {
      static_cast<void>(gemm(h, op_a, op_b, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc));
    });
    return CUBLAS_STATUS_SUCCESS;
  }
  runtime::count_product();
  if (loru::emulator::runtime::due(faults().product)) return CUBLAS_STATUS_EXECUTION_FAILED;
  const bool ta = op_a != CUBLAS_OP_N, tb = op_b != CUBLAS_OP_N;
  if (m <= 0 || n <= 0 || k <= 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!h->workspace || !on_device(a, span(ta ? k : m, ta ? m : k, lda) * sizeof(T)) ||
      !on_device(b, span(tb ? n : k, tb ? k : n, ldb) * sizeof(T)) ||
      !on_device(c, span(m, n, ldc) * sizeof(T)))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!loru::emulator::device.computes) return CUBLAS_STATUS_SUCCESS;
  View<T> out(c, m, n, Eigen::OuterStride<>(ldc));
  const Matrix<T> product = *alpha * (operand(h, ta, m, k, a, lda) * operand(h, tb, k, n, b, ldb));
  if (*beta == T(0))
    out = product;
  else
    out = product + *beta * out;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_INVALID_VALUE: return "an invalid value was used as an argument";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the function failed to launch on the device";
    default: return "unknown status";
  }
}

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  loru::emulator::runtime::count_handle(1);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  loru::emulator::runtime::count_handle(-1);
  return CUBLAS_STATUS_SUCCESS;
}

/// Takes the workspace away, as cuBLAS does.
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  if (!loru::emulator::runtime::alive(stream)) return CUBLAS_STATUS_INVALID_VALUE;
  handle->stream = stream;
  handle->workspace = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (!on_device(workspace, bytes)) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t h, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n,
                              int k, const float* alpha, const float* a, int lda, const float* b, int ldb,
                              const float* beta, float* c, int ldc) {
  return gemm(h, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

cublasStatus_t cublasDgemm_v2(cublasHandle_t h, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n,
                              int k, const double* alpha, const double* a, int lda, const double* b, int ldb,
                              const double* beta, double* c, int ldc) {
  return gemm(h, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

}  // extern "C"
