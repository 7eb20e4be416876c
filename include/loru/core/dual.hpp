#pragma once
// Dual numbers: value + tangent·ε with ε² = 0. Running a computation on them gives its directional
// derivative.

#include <cmath>
#include <concepts>
#include <ostream>
#include <type_traits>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA {

/// value + tangent·ε. Comparisons look at the value alone, so that branches are those of the plain
/// computation.
template <std::floating_point T>
struct Dual {
  T value{};
  T tangent{};

  constexpr Dual() = default;
  constexpr Dual(T v, T t = T(0)) : value{v}, tangent{t} {}

  friend constexpr Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.tangent + b.tangent}; }
  friend constexpr Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.tangent - b.tangent}; }
  friend constexpr Dual operator-(Dual a) { return {-a.value, -a.tangent}; }
  friend constexpr Dual operator*(Dual a, Dual b) {
    return {a.value * b.value, a.value * b.tangent + a.tangent * b.value};
  }
  friend constexpr Dual operator/(Dual a, Dual b) {
    const T quotient = a.value / b.value;
    return {quotient, (a.tangent - quotient * b.tangent) / b.value};
  }
  constexpr Dual& operator+=(Dual b) { return *this = *this + b; }
  constexpr Dual& operator-=(Dual b) { return *this = *this - b; }
  constexpr Dual& operator*=(Dual b) { return *this = *this * b; }
  constexpr Dual& operator/=(Dual b) { return *this = *this / b; }

  friend constexpr auto operator<=>(Dual a, Dual b) { return a.value <=> b.value; }
  friend constexpr bool operator==(Dual a, Dual b) { return a.value == b.value; }

  friend Dual exp(Dual a) {
    const T e = std::exp(a.value);
    return {e, e * a.tangent};
  }
  friend Dual log1p(Dual a) { return {std::log1p(a.value), a.tangent / (1 + a.value)}; }
  friend Dual log(Dual a) { return {std::log(a.value), a.tangent / a.value}; }
  friend Dual sqrt(Dual a) {
    const T root = std::sqrt(a.value);
    return {root, a.tangent / (2 * root)};
  }
  friend Dual tanh(Dual a) {
    const T t = std::tanh(a.value);
    return {t, (1 - t * t) * a.tangent};
  }
  friend Dual erf(Dual a) {
    constexpr T two_over_sqrt_pi = T(1.128379167095512573896158903121545172L);
    return {std::erf(a.value), two_over_sqrt_pi * std::exp(-a.value * a.value) * a.tangent};
  }
  friend Dual abs(Dual a) { return a.value < 0 ? -a : a; }
  friend bool isfinite(Dual a) { return std::isfinite(a.value) && std::isfinite(a.tangent); }
  friend std::ostream& operator<<(std::ostream& out, Dual a) {
    return out << a.value << '+' << a.tangent << 'e';
  }
};

template <class T>
inline constexpr bool is_dual = false;
template <class T>
inline constexpr bool is_dual<Dual<T>> = true;

namespace detail {
template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<Dual<T>> {
  using type = T;
};
}  // namespace detail

/// T itself for a real type, the type of the parts for a Dual.
template <class T>
using Real = typename detail::RealOf<T>::type;

/// A real number or a dual number: the scalars of a differentiable computation.
template <class T>
concept Scalar = std::floating_point<T> || is_dual<T>;

/// The value part of x.
template <Scalar T>
constexpr Real<T> value_of(T x) {
  if constexpr (is_dual<T>)
    return x.value;
  else
    return x;
}

}  // namespace loru::inline LORU_ISA
