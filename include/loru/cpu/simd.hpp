#pragma once
// SIMD packets of the instruction set, from Eigen's portable ones. The only header that names Eigen's
// internals.

#if defined(__CUDACC__) && !defined(EIGEN_NO_CUDA)
#define EIGEN_NO_CUDA  // Eigen stays host code under nvcc
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12 about its own AVX-512 intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <Eigen/Core>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <utility>

#include <loru/core/tensor.hpp>
#include <loru/cpu/lanes.hpp>

namespace loru::inline LORU_ISA::cpu {

template <class T>
using Packet = typename Eigen::internal::packet_traits<T>::type;

/// Elements in one packet.
template <class T>
inline constexpr Index lanes = Eigen::internal::unpacket_traits<Packet<T>>::size;

static_assert(float_lanes == lanes<float>);

/// The type of a packet's elements.
template <class P>
using Element = typename Eigen::internal::unpacket_traits<P>::type;

/// Whether the register file has 32 vector registers or more.
inline constexpr bool many_registers = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32;

/// Packet arithmetic by Eigen's names: padd, psub, pmul, pmadd(a, b, c) = a·b + c, pset1<P>(x),
/// pload1<P>(address), ploadu<P>, pload<P> (aligned), pstoreu, pstore, ptranspose of a PacketSquare,
/// pcmp_lt(a, b) as a mask, pselect(mask, a, b), the sum and the largest of the elements predux and
/// predux_max.
using Eigen::internal::pabs;
using Eigen::internal::padd;
using Eigen::internal::pcmp_lt;
using Eigen::internal::pdiv;
using Eigen::internal::pexp;
using Eigen::internal::pload;
using Eigen::internal::pload1;
using Eigen::internal::ploadu;
using Eigen::internal::pmadd;
using Eigen::internal::pmax;
using Eigen::internal::pmul;
using Eigen::internal::pnegate;
using Eigen::internal::predux;
using Eigen::internal::predux_max;
using Eigen::internal::pselect;
using Eigen::internal::pset1;
using Eigen::internal::pstore;
using Eigen::internal::pstoreu;
using Eigen::internal::psub;
using Eigen::internal::ptranspose;

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif
/// A square of packets: as many packets as a packet has elements.
template <class T>
using PacketSquare = Eigen::internal::PacketBlock<Packet<T>, static_cast<int>(lanes<T>)>;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// f.operator()<i>() for i = 0 .. N − 1, unrolled whatever the optimisation level.
template <int N, class F>
inline void unroll(F f) {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (f.template operator()<I>(), ...);
  }(std::make_integer_sequence<int, N>{});
}

}  // namespace loru::inline LORU_ISA::cpu
