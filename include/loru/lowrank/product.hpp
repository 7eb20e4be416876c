#pragma once
// Weights as products of two thin matrices: truncated singular value decompositions.

#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/visit.hpp>
#include <loru/nn/low_rank_product.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// The best factors of a weight at the given rank, or at the highest rank of its matrix if that is less: b =
/// U·√Σ and a = √Σ·Vᵀ, in descending order.
template <std::floating_point T>
Factors<T> product_factors(const Tensor<T>& weight, Index rank) {
  const Shape matrix = nn::LowRankProduct<T>::matrix_shape(weight.shape());
  const Tensor<T> rows =
      weight.rank() == 4 ? to_layout(weight, Layout::channels_last) : to_layout(weight, Layout::row_major);
  return svd_factors(rows.as_matrix(matrix[0]), std::min({rank, matrix[0], matrix[1]}), 1.0);
}

/// W of the server's form of the layer as a matrix (m·kh, kw·Cin), on the host.
template <class T, class D>
Tensor<T> whole_matrix(nn::LowRankProduct<T, D>& layer) {
  const Shape matrix = nn::LowRankProduct<T>::matrix_shape(layer.shape());
  const Layout layout = layer.shape().rank() == 4 ? Layout::channels_last : Layout::row_major;
  return to_layout(to_host(layer.whole().value()), layout).as_matrix(matrix[0]);
}

/// A new W for the server's form of the layer, of shape (m·kh, kw·Cin), and its best factors.
template <class T, class D>
void set_whole(nn::LowRankProduct<T, D>& layer, const Tensor<T>& matrix) {
  const Layout layout = layer.shape().rank() == 4 ? Layout::channels_last : Layout::row_major;
  const Tensor<T> weight = matrix.reinterpret(layer.shape(), layout);
  const auto f = to_device<D>(product_factors(weight, layer.rank()));
  layer.whole().set_value(loru::to_device<D>(weight));
  layer.u().set_value(f.b);
  layer.v().set_value(f.a);
}

/// Gives every layer that the options choose the server's form, W and its best factors of the chosen rank;
/// the effective weights stay the same. Returns their names. Throws ConfigError, and changes nothing, as
/// factorize() does, a layer's m and n being those of its matrix: m·kh and kw·Cin for a convolution.
template <class T, class D>
std::vector<std::string> factorize_product(nn::Model<T, D>& model, const FactorizeOptions& o) {
  const std::map<std::string, Index> ranks = detail::chosen_ranks(detail::chosen_layers(model, o), o);
  std::vector<std::string> wanted;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    const Shape matrix = nn::LowRankProduct<T, D>::matrix_shape(weight.shape());
    if (!ranks.contains(name) || !detail::wide_enough(name, matrix, ranks.at(name), o)) return;
    require<ConfigError>(weight.template as<nn::Dense<T, D>>() != nullptr, "factorize_product: layer ", name,
                         ": expected a dense weight");
    wanted.push_back(name);
  }});
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) return;
    const Tensor<T, D> w = weight.effective();
    const auto f = to_device<D>(product_factors(to_host(w), ranks.at(name)));
    weight = nn::Weight<T, D>(nn::LowRankProduct<T, D>(w, f.b, f.a));
  }});
  return wanted;
}

/// Gives these layers a client's form, without W, of the given ranks. Factors that change their form or rank
/// are zero afterwards. Throws DataError for another number of ranks.
template <class T, class D>
void set_product_ranks(nn::Model<T, D>& model, std::span<const Index> ranks) {
  std::size_t next = 0;
  for_each_weight<nn::LowRankProduct>(model, [&](const std::string&, auto&) { ++next; });
  require<DataError>(ranks.size() == next, "set_product_ranks: expected ", next, " ranks, got ",
                     ranks.size());
  next = 0;
  model.visit({.weight = [&](const std::string&, nn::Weight<T, D>& weight) {
    auto* product = weight.template as<nn::LowRankProduct<T, D>>();
    if (!product) return;
    const Index rank = ranks[next++];
    if (!product->whole() && product->rank() == rank) return;
    const Shape shape = product->shape(), matrix = nn::LowRankProduct<T, D>::matrix_shape(shape);
    Tensor<T, D> u(Shape{matrix[0], rank}), v(Shape{rank, matrix[1]});
    fill(u, T(0));
    fill(v, T(0));
    weight = nn::Weight<T, D>(nn::LowRankProduct<T, D>(shape, u, v));
  }});
}

}  // namespace loru::inline LORU_ISA::lowrank
