// What a failed call of the CUDA runtime or of cuBLAS says.
#include <string>

#include <loru/cuda/blas.hpp>

#include "support/catch.hpp"

using namespace loru;

namespace {

template <class Status>
Status give(Status status) {
  return status;
}

/// "call: reason (this file:line)"
std::string sentence(const std::string& call, const char* reason, int line) {
  return concat(call, ": ", reason, " (", __FILE__, ":", line, ")");
}

}  // namespace

TEST_CASE("cuda errors: the call, the runtime's reason, file and line") {
  CHECK_NOTHROW(LORU_CUDA_CHECK(give(cudaSuccess)));
  const int line = __LINE__ + 2;
  try {
    LORU_CUDA_CHECK(give(cudaErrorInvalidValue));
    FAIL("expected an exception");
  } catch (const cuda::CudaError& error) {
    CHECK(error.code() == cudaErrorInvalidValue);
    CHECK(error.what() ==
          sentence("give(cudaErrorInvalidValue)", cudaGetErrorString(cudaErrorInvalidValue), line));
  }
}

TEST_CASE("cuda errors: cuBLAS too") {
  CHECK_NOTHROW(LORU_CUBLAS_CHECK(give(CUBLAS_STATUS_SUCCESS)));
  const int line = __LINE__ + 2;
  try {
    LORU_CUBLAS_CHECK(give(CUBLAS_STATUS_EXECUTION_FAILED));
    FAIL("expected an exception");
  } catch (const cuda::CudaError& error) {
    CHECK(error.what() == sentence("give(CUBLAS_STATUS_EXECUTION_FAILED)",
                                   cublasGetStatusString(CUBLAS_STATUS_EXECUTION_FAILED), line));
  }
}
