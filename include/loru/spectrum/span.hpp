#pragma once
// Which eigenvectors a gradient consists of.

#include <loru/spectrum/density.hpp>
#include <loru/spectrum/lanczos.hpp>

namespace loru::inline LORU_ISA::spectrum {

/// How a vector g is spread over the eigenvectors of H, as a Lanczos process from g / ‖g‖ finds it: the
/// squared first component of an eigenvector of T is g's energy at its Ritz value. The weights add up to 1.
struct Span {
  std::vector<Node> energy{};  ///< descending in magnitude of the eigenvalue
  Index products = 0;

  /// 1 / Σw²: 1 if g is an eigenvector, k if it is spread evenly over k eigenvalues.
  double participation() const {
    double squares = 0.0;
    for (const Node& node : energy) squares += node.weight * node.weight;
    return squares > 0.0 ? 1.0 / squares : 0.0;
  }

  /// The share of g's energy at the `count` eigenvalues largest in magnitude.
  double top(Index count) const {
    double share = 0.0;
    for (Index i = 0; i < std::min<Index>(count, std::ssize(energy)); ++i)
      share += energy[static_cast<std::size_t>(i)].weight;
    return share;
  }
};

/// Throws ShapeError if g is not of the operator's size, ConfigError if steps < 1.
template <std::floating_point T>
Span span_of(const Operator<T>& h, const Vector<T>& g, Index steps = 70, double residual = 1e-3) {
  require<ShapeError>(std::ssize(g) == h.size(), "span_of: expected a vector of ", h.size(), " numbers, got ",
                      g.size());
  require<ConfigError>(steps >= 1, "span_of: steps: expected at least 1, got ", steps);
  const Vectors<T> nothing;
  Lanczos<T> process(h, g, nothing);
  const RitzPairs pairs = process.run(steps, steps, residual);
  Span span{.energy = {}, .products = process.steps()};
  for (std::size_t i = 0; i < pairs.values.size(); ++i)
    span.energy.push_back({pairs.values[i], pairs.first[i] * pairs.first[i]});
  return span;
}

}  // namespace loru::inline LORU_ISA::spectrum
