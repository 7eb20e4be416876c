#pragma once
// The spectral density of an operator, and what follows from it.

#include <cmath>
#include <vector>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::spectrum {

/// A point of a quadrature of the density: a share `weight` of all P eigenvalues lies about `eigenvalue`.
struct Node {
  double eigenvalue = 0.0, weight = 0.0;
};

/// exp(−Σ p_i·log p_i) with p_i = |λ_i| / Σ|λ|: between 1 and P, P if all eigenvalues are of one magnitude.
/// The sums over the P eigenvalues come from the density, whose weights add up to 1. 0 for the zero matrix.
/// Source: Roy and Vetterli, The effective rank (EUSIPCO 2007), definition 1.
inline double entropy_rank(const std::vector<Node>& density, double size) {
  double sum = 0.0, weighted = 0.0;  // Σ|λ|, Σ|λ|·log|λ|
  for (const Node& node : density) {
    const double magnitude = std::abs(node.eigenvalue);
    if (magnitude == 0.0) continue;
    sum += size * node.weight * magnitude;
    weighted += size * node.weight * magnitude * std::log(magnitude);
  }
  return sum > 0.0 ? std::exp(std::log(sum) - weighted / sum) : 0.0;
}

}  // namespace loru::inline LORU_ISA::spectrum
