#pragma once
// The instruction set that this file is compiled for, as the name of a namespace.
//
// Two files of one program may be compiled with different -m flags. Their inline functions then have
// different code, and the one-definition rule asks that they have different names. So all of loru but its
// device `cuda` lies in `loru::inline LORU_ISA`: nobody has to write the name, and every symbol carries it.

#if defined(__AVX512F__)
#define LORU_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define LORU_ISA avx2_fma
#elif defined(__AVX2__)
#define LORU_ISA avx2
#elif defined(__AVX__)
#define LORU_ISA avx
#elif defined(__SSE4_2__)
#define LORU_ISA sse42
#elif defined(__x86_64__)
#define LORU_ISA sse2
#elif defined(__ARM_NEON)
#define LORU_ISA neon
#else
#define LORU_ISA scalar
#endif

namespace loru::inline LORU_ISA {}
