#include <loru/linalg/svd.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 about its own AVX-512 headers, inlined through Eigen
#endif

namespace loru::linalg {

template SymmetricEigen<double> symmetric_eigen<double>(const Tensor<double>&);

}  // namespace loru::linalg
