#pragma once
// cuBLAS: a handle per thread, with settings that give the same bits in every run, and the precision of
// products.

#include <atomic>
#include <climits>
#include <optional>

#include <cublas_v2.h>

#include <loru/cuda/memory.hpp>

namespace loru::cuda {

/// Throws CudaError unless status is CUBLAS_STATUS_SUCCESS.
inline void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  throw CudaError(cudaErrorUnknown,
                  concat(call, ": ", cublasGetStatusString(status), " (", file, ":", line, ")"));
}

}  // namespace loru::cuda

/// Every call of cuBLAS goes through this.
#define LORU_CUBLAS_CHECK(...) ::loru::cuda::check((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

namespace loru::cuda {

/// How float products are computed: in float, or with operands rounded to tf32 (10 bits of mantissa).
enum class Precision : unsigned char { full, tf32 };

namespace detail {

inline std::atomic<Precision>& process_precision() {
  static std::atomic<Precision> precision{Precision::full};
  return precision;
}

}  // namespace detail

/// The precision of the float products of all threads, those of the fused kernels included.
inline Precision precision() { return detail::process_precision(); }
/// Sets it, for what is queued from now on.
inline void set_precision(Precision precision) { detail::process_precision() = precision; }

/// A cuBLAS handle that follows this thread's device and stream, and the precision. Its workspace is fixed:
/// with one of cuBLAS's own choice, products on several streams may differ in their last bits from run to
/// run.
class Blas {
 public:
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;

  Blas() = default;
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  ~Blas() { close(); }

  /// The handle, set to this thread's stream. Throws NoDevice, CudaError.
  cublasHandle_t handle() {
    const cudaStream_t now = current_stream();
    if (const int device = current_device(); !handle_ || device != device_) open(device);
    if (!workspace_ || now != stream_) {
      workspace_ = allocate(workspace_bytes);
      LORU_CUBLAS_CHECK(cublasSetStream(handle_, now));  // takes the workspace away
      LORU_CUBLAS_CHECK(cublasSetWorkspace(handle_, workspace_.data(), workspace_bytes));
      stream_ = now;
    }
    if (const Precision wanted = cuda::precision(); wanted != precision_) {
      LORU_CUBLAS_CHECK(cublasSetMathMode(
          handle_, wanted == Precision::tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
      precision_ = wanted;
    }
    return handle_;
  }

 private:
  void open(int device) {
    close();
    LORU_CUBLAS_CHECK(cublasCreate(&handle_));
    device_ = device;
    precision_.reset();
  }
  void close() {
    if (handle_) static_cast<void>(cublasDestroy(handle_));
    handle_ = nullptr;
    workspace_ = {};
  }

  cublasHandle_t handle_ = nullptr;
  int device_ = 0;
  cudaStream_t stream_ = nullptr;
  std::optional<Precision> precision_;  // as the handle has it
  Buffer workspace_;
};

/// This thread's handle.
inline Blas& blas() {
  thread_local Blas mine;
  return mine;
}

namespace detail {

/// An extent as cuBLAS takes it.
inline int blas_extent(std::ptrdiff_t n) {
  require<ShapeError>(n <= INT_MAX, "cuda: expected extents of at most ", INT_MAX, ", got ", n);
  return static_cast<int>(n);
}

inline cublasOperation_t blas_op(bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; }

inline cublasStatus_t gemm(cublasHandle_t h, cublasOperation_t a, cublasOperation_t b, int m, int n, int k,
                           const float* alpha, const float* x, int ldx, const float* y, int ldy,
                           const float* beta, float* z, int ldz) {
  return cublasSgemm(h, a, b, m, n, k, alpha, x, ldx, y, ldy, beta, z, ldz);
}
inline cublasStatus_t gemm(cublasHandle_t h, cublasOperation_t a, cublasOperation_t b, int m, int n, int k,
                           const double* alpha, const double* x, int ldx, const double* y, int ldy,
                           const double* beta, double* z, int ldz) {
  return cublasDgemm(h, a, b, m, n, k, alpha, x, ldx, y, ldy, beta, z, ldz);
}

}  // namespace detail

/// C = alpha · op(A) · op(B) + beta · C with row-major op(A) (m, k), op(B) (k, n), C (m, n), none of them
/// empty; lda and ldb are the distances of rows as they lie in memory. cuBLAS is column-major: it is asked
/// for Cᵀ = op(B)ᵀ · op(A)ᵀ.
template <class T>
void blas_gemm(bool transpose_a, bool transpose_b, std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k,
               T alpha, const T* a, std::ptrdiff_t lda, const T* b, std::ptrdiff_t ldb, T beta, T* c) {
  using detail::blas_extent, detail::blas_op;
  LORU_CUBLAS_CHECK(detail::gemm(blas().handle(), blas_op(transpose_b), blas_op(transpose_a), blas_extent(n),
                                 blas_extent(m), blas_extent(k), &alpha, b, blas_extent(ldb), a,
                                 blas_extent(lda), &beta, c, blas_extent(n)));
}

}  // namespace loru::cuda
