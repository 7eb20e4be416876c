#include <loru/linalg/svd.hpp>

namespace loru::linalg {

template SymmetricEigen<double> symmetric_eigen<double>(const Tensor<double>&);
template Qr thin_qr(const Tensor<double>&);
template std::vector<double> singular_values(const Tensor<double>&);
template Svd truncated_svd(const Tensor<double>&, Index);
template Svd product_svd(const Tensor<double>&, const Tensor<double>&, Index);

}  // namespace loru::linalg
