// expect: no matching function for call to .gemm
// Products are of floating-point numbers.
#include <loru/cpu/gemm/gemm.hpp>

void multiply(const int* a, int* c) {
  loru::cpu::gemm<int>(loru::Op::none, loru::Op::none, 1, 1, 1, 1, {a, 1}, {a, 1}, 0, {c, 1});
}
