#pragma once
// The program that runs the planted faults of one kernel. plant.py writes its source: each mutant of the
// kernel in a namespace of its own, with a function run(Comparison&) that launches it and compares.
#include <cstdio>
#include <cstring>
#include <exception>
#include <span>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/matrix.cuh>
#include <loru/cuda/tuning.hpp>

#include "cuda/support/comparison.hpp"

namespace loru_test {

struct Bf16 {
  using Element = __nv_bfloat16;
  static constexpr bool tensor_cores = true;
};
struct Tf32 {
  using Element = float;
  static constexpr bool tensor_cores = true;
};

struct Mutant {
  const char* name;
  void (*run)(Comparison&);
};

/// Compares out(i, j) with scale times the sum of left(i, k) right(k, j) in order of k; left and right are
/// functions.
template <class T, class Left, class Right>
void see_products(Comparison& seen, const Guarded<T>& out, int count, double scale, const Left& left,
                  const Right& right, const char* what) {
  for (int i = 0; i < out.rows(); ++i)
    for (int j = 0; j < out.cols(); ++j) {
      double sum = 0;
      for (int k = 0; k < count; ++k) sum += left(i, k) * right(k, j);
      seen.see(out.value(i, j), sizeof(T) == 2 ? as_bf16(scale * sum) : scale * sum, 0, what, i, j);
    }
}

/// PROGRAM NAME ORDER: exit code 0 if the mutant's output is right and nothing was reported, 10 with the
/// reason otherwise.
inline int run_mutant(std::span<const Mutant> mutants, int count, char** arguments) {
  if (count != 3) return 2;
  loru::emulator::options.order = static_cast<loru::emulator::Order>(arguments[2][0] - '0');
  for (const Mutant& mutant : mutants) {
    if (std::strcmp(mutant.name, arguments[1]) != 0) continue;
    try {
      Comparison seen;
      mutant.run(seen);
      if (seen.worst() <= 1) return 0;
      std::printf("%s\n", seen.where().c_str());
    } catch (const std::exception& error) {
      std::printf("%s\n", error.what());
    }
    return 10;
  }
  return 2;
}

}  // namespace loru_test
