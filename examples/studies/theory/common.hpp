#pragma once
// What the programs of the study share: data, the model over dual numbers, matrices of a model's update.

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <loru/data/load.hpp>
#include <loru/data/partition/partition.hpp>
#include <loru/fl/fl.hpp>
#include <loru/linalg/svd.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/spectrum/spectrum.hpp>
#include <loru/train/train.hpp>

namespace theory {

using loru::Index;
using Model = loru::nn::Model<float>;
using Samples = std::vector<Index>;
/// The dense layers' weights, or differences of them, by name, in double.
using Matrices = std::map<std::string, loru::Tensor<double>>;

/// Options that every part of the study has.
struct Study {
  std::string data = "fashion-mnist", model = "mlp", out;
  Index seed = 1, threads = 1;
  double learning_rate = 0.05;
};

/// Samples that a seed has put into an order of its own.
inline Samples shuffled(Index count, Index seed) {
  Samples order(static_cast<std::size_t>(count));
  for (Index i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
  loru::rng::Stream stream(static_cast<std::uint64_t>(seed), loru::rng::Purpose::spectrum);
  stream.shuffle(std::span(order));
  return order;
}

inline loru::nn::ModelOptions options_for(const loru::data::Dataset& set, Index seed) {
  return {.channels = set.sample[0],
          .height = set.sample[1],
          .width = set.sample[2],
          .classes = set.classes,
          .norm = loru::nn::Norm::group,
          .seed = static_cast<std::uint64_t>(seed)};
}

/// The Hessian of the model's loss on some samples, in the effective weights.
inline loru::spectrum::CurvatureOperator<float> hessian(const Study& study, Model& model,
                                                        const loru::data::Dataset& set, Samples samples,
                                                        loru::WorkerPool* pool = nullptr) {
  auto like = loru::nn::build<loru::Dual<float>>(study.model, options_for(set, study.seed));
  return {loru::spectrum::dual_model(model, std::move(like)),
          set,
          std::move(samples),
          loru::train::Classification{},
          {},
          pool};
}

/// The weights (m, n) of the layers but the last, which has as few rows as there are classes.
inline Matrices matrices(Model& model, Index classes) {
  Matrices all;
  for (const auto& [name, v, role] : model.trained_parameters()) {
    const auto& w = v.value();
    if (w.rank() < 2 || w.dim(0) == classes) continue;
    loru::Tensor<double> m(loru::Shape{w.dim(0), w.size() / w.dim(0)});
    std::copy(w.data(), w.data() + w.size(), m.data());
    all.emplace(name, m);
  }
  return all;
}

inline double dot(const loru::Tensor<double>& a, const loru::Tensor<double>& b) {
  return loru::linalg::dot(a, b);
}

/// Over all layers together.
inline double dot(const Matrices& a, const Matrices& b) {
  double sum = 0.0;
  for (const auto& [name, m] : a) sum += dot(m, b.at(name));
  return sum;
}

inline double cosine(const Matrices& a, const Matrices& b) {
  const double size = std::sqrt(dot(a, a) * dot(b, b));
  return size > 0.0 ? dot(a, b) / size : 0.0;
}

/// a + c·b.
inline Matrices sum(const Matrices& a, double c, const Matrices& b) {
  Matrices all;
  for (const auto& [name, m] : a) {
    loru::Tensor<double> x = loru::clone(m);
    loru::add_scaled(x, c, b.at(name));
    all.emplace(name, x);
  }
  return all;
}

/// Σ p_i·M_i for weights p that add up to 1.
inline Matrices mean(const std::vector<Matrices>& all, const std::vector<double>& weights) {
  Matrices total = sum(all[0], weights[0] - 1.0, all[0]);
  for (std::size_t i = 1; i < all.size(); ++i) total = sum(total, weights[i], all[i]);
  return total;
}

/// M·V·Vᵀ for V (n, r) with orthonormal columns.
inline loru::Tensor<double> onto_rows(const loru::Tensor<double>& m, const loru::Tensor<double>& v) {
  return loru::matmul(loru::matmul(m, v, {}), v, {.b = loru::Op::transpose});
}

/// The best approximation of rank r.
inline loru::Tensor<double> truncated(const loru::Tensor<double>& m, Index r) {
  if (r >= std::min(m.dim(0), m.dim(1))) return m;
  return onto_rows(m, loru::linalg::truncated_svd(m, r).v);
}

/// r orthonormal columns of n numbers, uniformly distributed.
inline loru::Tensor<double> random_space(Index n, Index r, loru::rng::Stream stream) {
  loru::Tensor<double> g(loru::Shape{n, r});
  for (double& x : g.span()) x = stream.normal();
  return loru::linalg::thin_qr(g).q;
}

}  // namespace theory
