#pragma once
// Matrix products, convolutions, ops on sequences and decompositions; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/cpu/activation_bodies.hpp>
#include <loru/cpu/attention/attention_bodies.hpp>
#include <loru/cpu/conv/conv_bodies.hpp>
#include <loru/cpu/cpu.hpp>
#include <loru/cpu/gemm/gemm_bodies.hpp>
#include <loru/cpu/token_loss_bodies.hpp>
#include <loru/linalg/svd_bodies.hpp>
#include <loru/ops/list.hpp>

namespace loru::inline LORU_ISA::cpu {

template void gemm<float>(Op, Op, Index, Index, Index, float, View<const float>, View<const float>, float,
                          View<float>);
template void gemm<double>(Op, Op, Index, Index, Index, double, View<const double>, View<const double>,
                           double, View<double>);
template void gelu<float>(Index, const float*, float*);
template void gelu_backward<float>(Index, const float*, const float*, float*);
template void swiglu<float>(Index, const float*, const float*, float*);
template void swiglu<double>(Index, const double*, const double*, double*);
template void swiglu_backward<float>(Index, const float*, const float*, const float*, float*, float*);
template void swiglu_backward<double>(Index, const double*, const double*, const double*, double*, double*);

}  // namespace loru::inline LORU_ISA::cpu

namespace loru::inline LORU_ISA {

LORU_CONV_OPS(LORU_INSTANTIATE_OP, float, Cpu)
LORU_CONV_OPS(LORU_INSTANTIATE_OP, double, Cpu)
LORU_SEQUENCE_OPS(LORU_INSTANTIATE_OP, float, Cpu)
LORU_SEQUENCE_OPS(LORU_INSTANTIATE_OP, double, Cpu)

namespace linalg {

template SymmetricEigen<double> symmetric_eigen<double>(const Tensor<double>&);
template Qr thin_qr(const Tensor<double>&);
template std::vector<double> singular_values(const Tensor<double>&);
template Svd truncated_svd(const Tensor<double>&, Index);
template Svd product_svd(const Tensor<double>&, const Tensor<double>&, Index);

}  // namespace linalg
}  // namespace loru::inline LORU_ISA
