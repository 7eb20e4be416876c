#pragma once
// Functions of SIMD packets, and loops of them. An element's result does not depend on its place.

#include <algorithm>
#include <concepts>

#include <loru/cpu/simd.hpp>

namespace loru::inline LORU_ISA::cpu {

/// The least x whose e^x is not taken for zero: e^x is a normal number down to here.
template <std::floating_point T>
inline constexpr T least_power = sizeof(T) == 4 ? T(-87) : T(-708);

/// e^x, and zero for x below least_power. Not a number stays so.
template <std::floating_point T>
Packet<T> exp_or_zero(const Packet<T>& x) {
  using P = Packet<T>;
  return pselect(pcmp_lt(x, pset1<P>(least_power<T>)), pset1<P>(T(0)), pexp(x));
}

/// The normal distribution function Φ(x) and e^(−x²/2) in float, with an error of at most 3e-7: Φ(−|x|) is
/// e^(−x²/2) · t · p(t) / 2 with t = 1 / (1 + 0.3·|x| / √2). The form is that of Hastings (Abramowitz and
/// Stegun, 7.1.26); p is of degree 8, fitted by least squares at Chebyshev's points.
struct NormalPacket {
  Packet<float> phi, power;

  explicit NormalPacket(const Packet<float>& x) {
    using P = Packet<float>;
    constexpr float p[] = {1.6919800567e-01f,  1.7055211825e-01f,  1.4946146830e-01f,
                           2.1066865088e-01f,  -8.4900280211e-02f, 5.3389191460e-01f,
                           -5.0039578579e-01f, 4.7989538438e-01f,  -1.2837149021e-01f};
    const P one = pset1<P>(1.0f), a = pmul(pabs(x), pset1<P>(0.70710678118654752f));
    power = exp_or_zero<float>(pmul(pset1<P>(-0.5f), pmul(x, x)));
    const P t = pdiv(one, pmadd(pset1<P>(0.3f), a, one));
    P y = pset1<P>(p[8]);
    unroll<8>([&]<int I>() { y = pmadd(y, t, pset1<P>(p[7 - I])); });
    const P tail = pmul(pmul(pset1<P>(0.5f), power), pmul(y, t));
    phi = pselect(pcmp_lt(x, pset1<P>(0.0f)), tail, psub(one, tail));
  }
};

/// 1 / (1 + e^−x).
template <std::floating_point T>
Packet<T> logistic_packet(const Packet<T>& x) {
  using P = Packet<T>;
  const P zero = pset1<P>(T(0)), one = pset1<P>(T(1));
  const P e = exp_or_zero<T>(pnegate(pabs(x)));  // at most 1
  return pdiv(pselect(pcmp_lt(x, zero), e, one), padd(one, e));
}

/// f(in, out) for packets of I inputs and O outputs of n elements; the last packet may be filled with zeros.
template <std::floating_point T, int I, int O, class F>
void map_packets(Index n, const T* const (&x)[I], T* const (&y)[O], F f) {
  using P = Packet<T>;
  constexpr Index width = lanes<T>;
  P in[I], out[O];
  Index at = 0;
  for (; at + width <= n; at += width) {
    unroll<I>([&]<int J>() { in[J] = ploadu<P>(x[J] + at); });
    f(in, out);
    unroll<O>([&]<int J>() { pstoreu(y[J] + at, out[J]); });
  }
  if (at == n) return;
  alignas(64) T some[width];
  unroll<I>([&]<int J>() {
    std::fill(std::copy(x[J] + at, x[J] + n, some), some + width, T(0));
    in[J] = ploadu<P>(some);
  });
  f(in, out);
  unroll<O>([&]<int J>() {
    pstoreu(some, out[J]);
    std::copy(some, some + (n - at), y[J] + at);
  });
}

/// n in full packets.
template <std::floating_point T>
constexpr Index padded(Index n) {
  return (n + lanes<T> - 1) / lanes<T> * lanes<T>;
}

/// A row of `columns` numbers, a multiple of lanes, becomes e^(x − most); returns their sum.
template <std::floating_point T>
T exponentials(Index columns, T most, T* row) {
  using P = Packet<T>;
  const P shift = pset1<P>(most);
  P sum = pset1<P>(T(0));
  for (Index j = 0; j < columns; j += lanes<T>) {
    const P e = exp_or_zero<T>(psub(ploadu<P>(row + j), shift));
    pstoreu(row + j, e);
    sum = padd(sum, e);
  }
  return predux(sum);
}

/// The largest of `columns` numbers, a multiple of lanes.
template <std::floating_point T>
T largest(Index columns, const T* row) {
  using P = Packet<T>;
  P most = ploadu<P>(row);
  for (Index j = lanes<T>; j < columns; j += lanes<T>) most = pmax(most, ploadu<P>(row + j));
  return predux_max(most);
}

}  // namespace loru::inline LORU_ISA::cpu
