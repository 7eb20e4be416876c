#pragma once
// The Lanczos process with full reorthogonalisation.

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include <loru/linalg/svd.hpp>
#include <loru/spectrum/operator.hpp>
#include <loru/spectrum/vectors.hpp>

namespace loru::inline LORU_ISA::spectrum {

/// Eigenvalues of the tridiagonal matrix T = Vᵀ·H·V of a Lanczos process, and what its eigenvectors s tell
/// of the Ritz vectors y = V·s.
struct RitzPairs {
  std::vector<double> values;     ///< θ, descending in magnitude
  std::vector<double> first;      ///< the first component of s: (startᵀ·y) / ‖start‖
  std::vector<double> residuals;  ///< ‖H·y − θ·y‖ = β·|last component of s|, but for deflated vectors
  Tensor<double> s;               ///< (steps, steps), an eigenvector a column
};

/// A Lanczos process of the operator (I − Q·Qᵀ)·H·(I − Q·Qᵀ) for orthonormal Q, which may be empty, from a
/// start outside the span of Q:
///
///     H·V = V·T + β·v⁺·eᵀ + Q·C     V orthonormal (P, steps), orthogonal to Q and v⁺; e the last unit vector
///
/// Every new vector is orthogonalised against all others and Q, a second time where the first cancels much
/// of it. So in exact arithmetic V spans the Krylov space of the start, and no eigenvalue comes twice from
/// rounding. Source: Parlett, The Symmetric Eigenvalue Problem (1998), chapter 13.
template <std::floating_point T>
class Lanczos {
 public:
  Lanczos(const Operator<T>& h, Vector<T> start, const Vectors<T>& q) : h_{h}, q_{q} {
    const double whole = norm(start);
    for (int pass = 0; pass < 2; ++pass) project_out(start, q_);
    const double length = norm(start);
    if (!(length > rounding() * whole)) return;  // nothing outside the span of Q
    multiply(start, 1.0 / length);
    next_ = std::move(start);
  }

  /// One more vector. Returns false if there is none: V spans an invariant space.
  bool step();

  /// Steps until the `wanted` Ritz values largest in magnitude have residuals of at most `residual`·|θ|, at
  /// most `most` of them.
  RitzPairs run(Index most, Index wanted, double residual);

  RitzPairs ritz_pairs() const;

  /// The Ritz vectors y of the pairs in front, and H·y from the relation above: no products are needed.
  void ritz_vectors(const RitzPairs& pairs, Index count, Vectors<T>& y, Vectors<T>& hy) const;

  Index steps() const { return static_cast<Index>(v_.size()); }

 private:
  static constexpr double rounding() { return 10.0 * std::numeric_limits<T>::epsilon(); }

  /// w ← w − α·v − β·v⁻ for the last two vectors, which is nearly all of H·v inside V.
  void remove_neighbours(Vector<T>& w, double& alpha) const;

  /// Orthogonalises w against V and Q; adds what is found to alpha and the coupling.
  void orthogonalise(Vector<T>& w, double& alpha, std::vector<double>& coupling) const;

  const Operator<T>& h_;
  const Vectors<T>& q_;
  Vectors<T> v_;
  Vector<T> next_;                             // v⁺, empty if V is invariant
  std::vector<double> alpha_, beta_;           // T's diagonal; its off-diagonal and the last β
  std::vector<std::vector<double>> coupling_;  // columns of C
  double scale_ = 0.0;                         // largest α and β so far
};

template <std::floating_point T>
void Lanczos<T>::remove_neighbours(Vector<T>& w, double& alpha) const {
  alpha = dot(v_.back(), w);
  const T a = static_cast<T>(alpha);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] -= a * v_.back()[i];
  if (beta_.empty()) return;
  const T b = static_cast<T>(beta_.back());
  const Vector<T>& before = v_[v_.size() - 2];
  for (std::size_t i = 0; i < w.size(); ++i) w[i] -= b * before[i];
}

template <std::floating_point T>
void Lanczos<T>::orthogonalise(Vector<T>& w, double& alpha, std::vector<double>& coupling) const {
  for (int pass = 0; pass < 3; ++pass) {
    const double before = norm(w);
    const std::vector<double> inside = project_out(w, v_), out = project_out(w, q_);
    alpha += inside.back();
    for (std::size_t i = 0; i < out.size(); ++i) coupling[i] += out[i];
    if (norm(w) > 0.7 * before) return;
  }
}

template <std::floating_point T>
bool Lanczos<T>::step() {
  if (next_.empty()) return false;
  v_.push_back(std::move(next_));
  next_ = {};
  Vector<T> w = h_.product(v_.back());
  double alpha = 0.0;
  std::vector<double> coupling(q_.size());
  remove_neighbours(w, alpha);
  orthogonalise(w, alpha, coupling);
  const double beta = norm(w);
  alpha_.push_back(alpha);
  scale_ = std::max({scale_, std::abs(alpha), beta});
  coupling_.push_back(std::move(coupling));
  const bool more = beta > rounding() * scale_ && steps() + std::ssize(q_) < h_.size();
  beta_.push_back(more ? beta : 0.0);
  if (more) {
    multiply(w, 1.0 / beta);
    next_ = std::move(w);
  }
  return true;
}

template <std::floating_point T>
RitzPairs Lanczos<T>::run(Index most, Index wanted, double residual) {
  constexpr Index between = 5;
  while (steps() < most && step()) {
    if (steps() % between != 0 || steps() < wanted) continue;
    RitzPairs pairs = ritz_pairs();
    bool done = true;
    for (std::size_t i = 0; i < static_cast<std::size_t>(wanted); ++i)
      done = done && pairs.residuals[i] <= residual * std::abs(pairs.values[i]);
    if (done) return pairs;
  }
  return ritz_pairs();
}

template <std::floating_point T>
RitzPairs Lanczos<T>::ritz_pairs() const {
  const Index n = steps();
  Tensor<double> t(Shape{n, n});
  std::fill_n(t.data(), n * n, 0.0);
  for (Index i = 0; i < n; ++i) {
    t.data()[i * n + i] = alpha_[static_cast<std::size_t>(i)];
    if (i + 1 < n)
      t.data()[(i + 1) * n + i] = beta_[static_cast<std::size_t>(i)];  // the lower triangle is read
  }
  const auto eigen = linalg::symmetric_eigen(t);
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return std::abs(eigen.values[static_cast<std::size_t>(a)]) >
           std::abs(eigen.values[static_cast<std::size_t>(b)]);
  });
  RitzPairs pairs{.values = {}, .first = {}, .residuals = {}, .s = Tensor<double>(Shape{n, n})};
  for (Index j = 0; j < n; ++j) {
    const Index from = order[static_cast<std::size_t>(j)];
    for (Index i = 0; i < n; ++i) pairs.s.data()[i * n + j] = eigen.vectors.data()[i * n + from];
    pairs.values.push_back(eigen.values[static_cast<std::size_t>(from)]);
    pairs.first.push_back(pairs.s.data()[j]);
    pairs.residuals.push_back(beta_.back() * std::abs(pairs.s.data()[(n - 1) * n + j]));
  }
  return pairs;
}

template <std::floating_point T>
void Lanczos<T>::ritz_vectors(const RitzPairs& pairs, Index count, Vectors<T>& y, Vectors<T>& hy) const {
  const Index n = steps();
  for (Index j = 0; j < std::min(count, n); ++j) {
    std::vector<double> s(static_cast<std::size_t>(n)), c(q_.size());
    for (Index i = 0; i < n; ++i) s[static_cast<std::size_t>(i)] = pairs.s.data()[i * n + j];
    for (std::size_t i = 0; i < s.size(); ++i)
      for (std::size_t k = 0; k < c.size(); ++k) c[k] += coupling_[i][k] * s[i];
    Vector<T> ritz(static_cast<std::size_t>(h_.size()));
    add_combination(ritz, v_, s);
    Vector<T> image = ritz;
    multiply(image, pairs.values[static_cast<std::size_t>(j)]);
    if (!next_.empty()) {
      const T last = static_cast<T>(beta_.back() * s.back());
      for (std::size_t i = 0; i < image.size(); ++i) image[i] += last * next_[i];
    }
    add_combination(image, q_, c);
    y.push_back(std::move(ritz));
    hy.push_back(std::move(image));
  }
}

}  // namespace loru::inline LORU_ISA::spectrum
