#include <loru/lowrank/lowrank.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::difference;
using loru_test::gaussian;
using lowrank::Term;

namespace {

/// Σ c_k·B_k·A_k of a weight's shape.
Tensor<double> sum(const Shape& w, Layout layout, const std::vector<Term<double>>& terms) {
  Tensor<double> total(w, layout);
  fill(total, 0.0);
  for (const auto& t : terms) lowrank_merge(total, t.a, t.b, t.weight);
  return total;
}

Tensor<double> product(const Shape& w, const lowrank::Factors<double>& f, double s) {
  return sum(w, f.a.layout(), {{s, f.a, f.b}});
}

std::vector<Term<double>> some_terms(const Shape& w, Layout layout, const std::vector<Index>& ranks) {
  std::vector<Term<double>> terms;
  for (Index r : ranks) {
    const auto seed = 10 * terms.size() + 1;
    terms.push_back({0.3 + 0.2 * static_cast<double>(terms.size()),
                     gaussian(lowrank::factor_shape(w, r), seed, layout), gaussian({w[0], r}, seed + 5)});
  }
  return terms;
}

}  // namespace

TEST_CASE("stack: one product for a sum of products of any ranks") {
  const auto [w, layout] = GENERATE(std::pair{Shape{7, 9}, Layout::row_major},
                                    std::pair{Shape{5, 3, 3, 2}, Layout::channels_last});
  const auto terms = some_terms(w, layout, {2, 1, 4});
  const auto stacked = lowrank::stack(terms);
  CHECK(stacked.a.shape() == lowrank::factor_shape(w, 7));
  CHECK(stacked.b.shape() == Shape{w[0], 7});
  CHECK(close(product(w, stacked, 1.0), sum(w, layout, terms)));
  CHECK_THROWS_AS(lowrank::stack<double>({}), ShapeError);
  CHECK_THROWS_AS(lowrank::stack<double>({terms[0], {1.0, terms[1].a, gaussian({w[0] + 1, 1})}}), ShapeError);
}

TEST_CASE("truncate: the best factors of a product, and the product itself at full rank") {
  const auto [w, layout] = GENERATE(std::pair{Shape{8, 11}, Layout::row_major},
                                    std::pair{Shape{6, 2, 3, 3}, Layout::channels_last},
                                    std::pair{Shape{3, 12}, Layout::row_major});
  const auto terms = some_terms(w, layout, {2, 2});
  const auto stacked = lowrank::stack(terms);
  const Tensor<double> whole = sum(w, layout, terms);
  const double s = 0.5;
  // Rank 5 is above the product's rank of at most 4: the rest is zero.
  CHECK(difference(product(w, lowrank::truncate(stacked, 5, s), s), whole) < 1e-12);
  const auto best = lowrank::svd_factors(whole, 1, s), thin = lowrank::truncate(stacked, 1, s);
  CHECK(difference(product(w, thin, s), product(w, best, s)) < 1e-12);
  CHECK_THROWS_AS(lowrank::truncate(stacked, 0, s), ConfigError);
  CHECK_THROWS_AS(lowrank::truncate(stacked, 1, 0.0), ConfigError);
}
