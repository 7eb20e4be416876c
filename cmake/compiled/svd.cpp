#include <loru/linalg/svd.hpp>

namespace loru::linalg {

template SymmetricEigen<double> symmetric_eigen<double>(const Tensor<double>&);

}  // namespace loru::linalg
