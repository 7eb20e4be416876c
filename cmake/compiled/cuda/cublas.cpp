// cuBLAS for programs that seldom need it: linked, it takes a tenth of a second of every start. Here its
// functions load the library when the first of them is called.
#include <dlfcn.h>

#include <string>

#include <cublas_v2.h>

#include <loru/core/error.hpp>

namespace {

void* library() {
  static void* const handle = [] {
    const std::string name = loru::concat("libcublas.so.", CUBLAS_VER_MAJOR);
    void* const opened = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!opened) loru::fail<loru::Error>("cuda: expected ", name, ", got: ", ::dlerror());
    return opened;
  }();
  return handle;
}

/// The function of the library, declared as the one given.
template <class F>
F* find(F*, const char* name) {
  void* const found = ::dlsym(library(), name);
  if (!found) loru::fail<loru::Error>("cuda: expected ", name, " in cuBLAS, got: ", ::dlerror());
  return reinterpret_cast<F*>(found);
}

}  // namespace

#define LORU_FIND(name) static const auto function = find(&name, #name)

const char* cublasGetStatusString(cublasStatus_t status) {
  LORU_FIND(cublasGetStatusString);
  return function(status);
}

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  LORU_FIND(cublasCreate_v2);
  return function(handle);
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  LORU_FIND(cublasDestroy_v2);
  return function(handle);
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  LORU_FIND(cublasSetStream_v2);
  return function(handle, stream);
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  LORU_FIND(cublasSetWorkspace_v2);
  return function(handle, workspace, bytes);
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  LORU_FIND(cublasSetMathMode);
  return function(handle, mode);
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                              int n, int k, const float* alpha, const float* a, int lda, const float* b,
                              int ldb, const float* beta, float* c, int ldc) {
  LORU_FIND(cublasSgemm_v2);
  return function(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                              int n, int k, const double* alpha, const double* a, int lda, const double* b,
                              int ldb, const double* beta, double* c, int ldc) {
  LORU_FIND(cublasDgemm_v2);
  return function(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void* alpha, const void* a, cudaDataType a_type, int lda,
                            const void* b, cudaDataType b_type, int ldb, const void* beta, void* c,
                            cudaDataType c_type, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm) {
  // It has an overload.
  using Function =
      cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                     const void*, cudaDataType, int, const void*, cudaDataType, int, const void*, void*,
                     cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t);
  static Function* const function = find<Function>(nullptr, "cublasGemmEx");
  return function(handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc,
                  compute, algorithm);
}
