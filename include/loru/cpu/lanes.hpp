#pragma once
// The width of the vector registers of the instruction set, for code that asks for it without computing.

#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::cpu {

/// Floats in a vector register; cpu/simd.hpp checks it against its packets.
#if defined(EIGEN_DONT_VECTORIZE)
inline constexpr Index float_lanes = 1;
#elif defined(__AVX512F__)
inline constexpr Index float_lanes = 16;
#elif defined(__AVX__)
inline constexpr Index float_lanes = 8;
#elif defined(__SSE2__) || defined(__ARM_NEON)
inline constexpr Index float_lanes = 4;
#else
inline constexpr Index float_lanes = 1;
#endif

}  // namespace loru::inline LORU_ISA::cpu
