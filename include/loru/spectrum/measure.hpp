#pragma once
// Norms, ranks and density of a symmetric operator, from its products alone.

#include <loru/spectrum/density.hpp>
#include <loru/spectrum/lanczos.hpp>

namespace loru::inline LORU_ISA::spectrum {

struct Options {
  Index steps = 70;          ///< of a Lanczos process at most
  Index kept = 20;           ///< Ritz vectors that a process adds to Q
  Index probes = 30;         ///< the first ones
  double residual = 1e-3;    ///< of a Ritz value, relative, at which a process ends; at most tolerance / 4
  double tolerance = 5e-3;   ///< of the stable rank, relative: starts and probes are added until it is met
  Index most_starts = 16;    ///< Lanczos processes at most, at least 2
  Index most_probes = 2000;  ///< random probes at most
  std::uint64_t seed = 1;    ///< of starts and probes: operators of one size and seed share them
};

/// What is known of a symmetric P x P matrix H. An error is a standard error; λ is an eigenvalue.
struct Spectrum {
  double norm = 0.0;           ///< ‖H‖₂ = max|λ|
  double norm_residual = 0.0;  ///< ‖H·y − θ·y‖ of its Ritz pair: an eigenvalue lies within it of θ
  double frobenius2 = 0.0;     ///< ‖H‖²_F = Σλ²
  double frobenius2_error = 0.0;
  double trace = 0.0;  ///< Σλ
  double trace_error = 0.0;
  double stable_rank = 0.0;  ///< ‖H‖²_F / ‖H‖₂²
  double stable_rank_error = 0.0;
  double effective_rank = 0.0;  ///< (Σλ)² / Σλ²
  double entropy_rank = 0.0;    ///< exp of the entropy of |λ| / Σ|λ|
  Index outliers = 0;           ///< eigenvalues before the widest gap of log|λ| above a hundredth of the norm
  Index starts = 0, probes = 0;  ///< that were used
  Index products = 0;            ///< H·x in all
  double gradients = 0.0;        ///< what they cost
  std::vector<double> ritz{};    ///< eigenvalues of Qᵀ·H·Q, descending in magnitude
  std::vector<Node> density{};   ///< quadrature, weights add up to 1
};

/// Measures H.
///
/// Q spans the leading Ritz vectors of Lanczos processes; each begins at a random vector orthogonal to the
/// Q so far. So a second process finds what the first has missed, and another copy of each multiple
/// eigenvalue. Then
///
///     ‖H‖²_F = ‖H·Q‖²_F + E‖H·(I − Q·Qᵀ)·g‖²,   Σλ = tr(Qᵀ·H·Q) + E gᵀ·(I − Q·Qᵀ)·H·(I − Q·Qᵀ)·g
///
/// for standard normal g, which the mean over probes estimates without bias (Meyer et al., Hutch++, arXiv
/// 2010.09649). stable_rank_error is the stable rank times δF²/F² + 2·δλ/λ, with the residual as δλ. Where
/// the tolerance asks for more than the first two processes and probes give, processes are added while they
/// are cheaper than probes and take at least a fifth off the error, then probes, unless the residual alone
/// exceeds the tolerance. The density has the Ritz values of Q as points of weight 1/P, and a process that
/// leaves out Q for the rest as its Gauss quadrature (stochastic Lanczos quadrature: Ghorbani et al., arXiv
/// 1901.10159); it is the mean over all processes but the first. Throws ConfigError for options that make no
/// sense, DivergedError for products that are not finite.
template <std::floating_point T>
Spectrum measure(const Operator<T>& h, const Options& options = {});

namespace detail {

template <std::floating_point T>
class Measurement {
 public:
  Measurement(const Operator<T>& h, const Options& o) : h_{h}, o_{o} {}

  Spectrum operator()() {
    add_start();
    add_start();
    add_probes(o_.probes, true);
    while (!met() && starts_ < o_.most_starts && missing_probes() > o_.steps) {
      const double before = found_.stable_rank_error;
      add_start();
      estimate();
      if (found_.stable_rank_error > 0.8 * before) break;
    }
    projected_.clear();
    images_.clear();
    while (!met() && left() > 0.0 && probes() < o_.most_probes)
      add_probes(std::min({std::max<Index>(missing_probes(), 10), probes(), o_.most_probes - probes()}),
                 false);
    finish();
    return std::move(found_);
  }

 private:
  Index probes() const { return std::ssize(squares_); }
  rng::Stream stream(std::uint32_t kind, Index number) const {
    return rng::Stream(o_.seed, rng::Purpose::spectrum).fork(kind).fork(static_cast<std::uint32_t>(number));
  }

  void add_start();
  void add_probes(Index count, bool keep);
  /// ‖H·(I − QQᵀ)·g‖² and gᵀ(I − QQᵀ)·H·(I − QQᵀ)·g.
  void observe(std::size_t probe, const Vector<T>& projected, const Vector<T>& image);

  /// Eigenvalues of QᵀHQ by magnitude, and the eigenvector of the first.
  std::vector<double> ritz_values(std::vector<double>* top = nullptr) const;
  void estimate();
  bool met() {
    estimate();
    return found_.stable_rank_error <= o_.tolerance * found_.stable_rank;
  }
  /// What the residual leaves of the tolerance for the relative error of ‖H‖²_F.
  double left() const { return o_.tolerance - 2.0 * found_.norm_residual / found_.norm; }
  /// Probes that the tolerance asks for besides those there are, as their spread predicts.
  Index missing_probes() const;
  void finish();

  const Operator<T>& h_;
  const Options& o_;
  Vectors<T> q_, hq_;
  std::vector<std::vector<double>> qhq_;  // rows of the lower triangle of QᵀHQ
  std::vector<double> squares_, forms_;   // of each probe
  Vectors<T> projected_, images_;         // (I − QQᵀ)·g and H times it of each probe while Q may grow
  Index starts_ = 0, products_ = 0;
  Spectrum found_;
};

template <std::floating_point T>
void Measurement<T>::add_start() {
  const double size = static_cast<double>(h_.size()), inside = static_cast<double>(q_.size());
  Lanczos<T> process(h_, gaussian<T>(h_.size(), stream(0, starts_++)), q_);
  const RitzPairs pairs = process.run(o_.steps, o_.kept, std::min(o_.residual, o_.tolerance / 4.0));
  products_ += process.steps();
  if (starts_ > 1) {
    for (const double value : ritz_values()) found_.density.push_back({value, 1.0 / size});
    for (std::size_t i = 0; i < pairs.values.size(); ++i)
      found_.density.push_back({pairs.values[i], (1.0 - inside / size) * pairs.first[i] * pairs.first[i]});
  }
  Vectors<T> y, hy;
  process.ritz_vectors(pairs, o_.kept, y, hy);
  for (std::size_t i = 0; i < images_.size(); ++i) {  // now out of the new vectors too
    std::vector<double> c = project_out(projected_[i], y);
    for (double& value : c) value = -value;
    add_combination(images_[i], hy, c);
    observe(i, projected_[i], images_[i]);
  }
  for (std::size_t j = 0; j < y.size(); ++j) {
    q_.push_back(std::move(y[j]));
    hq_.push_back(std::move(hy[j]));
    qhq_.push_back(coefficients(q_, hq_.back()));
  }
}

template <std::floating_point T>
void Measurement<T>::observe(std::size_t probe, const Vector<T>& projected, const Vector<T>& image) {
  squares_.at(probe) = dot(image, image);
  forms_.at(probe) = dot(projected, image);
  require<DivergedError>(std::isfinite(squares_[probe]),
                         "spectrum: a product with the operator is not finite");
}

template <std::floating_point T>
void Measurement<T>::add_probes(Index count, bool keep) {
  for (Index i = 0; i < count; ++i) {
    Vector<T> g = gaussian<T>(h_.size(), stream(1, probes()));
    project_out(g, q_);
    Vector<T> image = h_.product(g);
    ++products_;
    squares_.push_back(0.0);
    forms_.push_back(0.0);
    observe(squares_.size() - 1, g, image);
    if (!keep) continue;
    projected_.push_back(std::move(g));
    images_.push_back(std::move(image));
  }
}

template <std::floating_point T>
std::vector<double> Measurement<T>::ritz_values(std::vector<double>* top) const {
  const Index n = std::ssize(q_);
  Tensor<double> matrix(Shape{n, n});
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j)
      matrix.data()[i * n + j] = qhq_[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
  const auto eigen = linalg::symmetric_eigen(matrix);
  std::vector<double> values = eigen.values;  // descending: the first or the last is largest in magnitude
  if (top && n > 0) {
    const Index at = std::abs(values.front()) >= std::abs(values.back()) ? 0 : n - 1;
    for (Index i = 0; i < n; ++i) top->push_back(eigen.vectors.data()[i * n + at]);
  }
  std::stable_sort(values.begin(), values.end(),
                   [](double a, double b) { return std::abs(a) > std::abs(b); });
  return values;
}

/// Mean and its standard error.
struct Mean {
  double value = 0.0, error = 0.0;

  explicit Mean(const std::vector<double>& x) {
    const double n = static_cast<double>(x.size());
    for (const double v : x) value += v / n;
    for (const double v : x) error += (v - value) * (v - value);
    error = x.size() > 1 ? std::sqrt(error / (n - 1.0) / n) : 0.0;
  }
};

template <std::floating_point T>
void Measurement<T>::estimate() {
  std::vector<double> top;
  found_.ritz = ritz_values(&top);
  const double theta = found_.ritz.empty() ? 0.0 : found_.ritz[0];
  Vector<T> residual(static_cast<std::size_t>(h_.size()));
  add_combination(residual, hq_, top);
  for (double& s : top) s *= -theta;
  add_combination(residual, q_, top);
  const Mean rest(squares_), form(forms_);
  found_.norm = std::abs(theta);
  found_.norm_residual = norm(residual);
  found_.frobenius2 = rest.value;
  found_.trace = form.value;
  for (std::size_t j = 0; j < q_.size(); ++j) {
    found_.frobenius2 += dot(hq_[j], hq_[j]);
    found_.trace += qhq_[j][j];
  }
  found_.frobenius2_error = rest.error;
  found_.trace_error = form.error;
  if (found_.norm == 0.0 || found_.frobenius2 == 0.0) return;
  found_.stable_rank = found_.frobenius2 / (found_.norm * found_.norm);
  found_.stable_rank_error = found_.stable_rank * (found_.frobenius2_error / found_.frobenius2 +
                                                   2.0 * found_.norm_residual / found_.norm);
  found_.effective_rank = found_.trace * found_.trace / found_.frobenius2;
}

template <std::floating_point T>
Index Measurement<T>::missing_probes() const {
  if (!(left() > 0.0)) return o_.most_probes;  // no number of them is enough
  const double factor = found_.frobenius2_error / found_.frobenius2 / left(),
               now = static_cast<double>(probes());
  return static_cast<Index>(std::min(std::ceil(now * factor * factor), 1e9)) - probes();
}

template <std::floating_point T>
void Measurement<T>::finish() {
  for (Node& node : found_.density) node.weight /= static_cast<double>(starts_ - 1);
  found_.entropy_rank = spectrum::entropy_rank(found_.density, static_cast<double>(h_.size()));
  double widest = 0.0;
  for (std::size_t i = 0; i + 1 < found_.ritz.size() && std::abs(found_.ritz[i]) > 0.01 * found_.norm; ++i) {
    const double gap = std::log(std::abs(found_.ritz[i])) -
                       std::log(std::max(std::abs(found_.ritz[i + 1]), 0.01 * found_.norm));
    if (gap <= widest) continue;
    widest = gap;
    found_.outliers = static_cast<Index>(i) + 1;
  }
  found_.starts = starts_;
  found_.probes = probes();
  found_.products = products_;
  found_.gradients = static_cast<double>(products_) * h_.gradients();
}

}  // namespace detail

template <std::floating_point T>
Spectrum measure(const Operator<T>& h, const Options& o) {
  const auto at_least = [](const char* name, Index least, Index got) {
    require<ConfigError>(got >= least, "spectrum: ", name, ": expected at least ", least, ", got ", got);
  };
  at_least("size", 1, h.size());
  at_least("steps", 2, o.steps);
  at_least("kept", 1, o.kept);
  at_least("probes", 2, o.probes);
  at_least("most_starts", 2, o.most_starts);
  at_least("most_probes", o.probes, o.most_probes);
  require<ConfigError>(o.tolerance > 0.0, "spectrum: tolerance: expected above 0, got ", o.tolerance);
  require<ConfigError>(o.residual > 0.0, "spectrum: residual: expected above 0, got ", o.residual);
  return detail::Measurement<T>(h, o)();
}

}  // namespace loru::inline LORU_ISA::spectrum
