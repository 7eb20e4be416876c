#include <loru/cpu/gemm/gemm.hpp>

namespace loru::cpu {

template void gemm<float>(Op, Op, Index, Index, Index, float, View<const float>, View<const float>, float,
                          View<float>);
template void gemm<double>(Op, Op, Index, Index, Index, double, View<const double>, View<const double>,
                           double, View<double>);

}  // namespace loru::cpu
