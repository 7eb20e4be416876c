#pragma once
// A model over dual numbers with the values of a real one.

#include <map>
#include <set>
#include <string>

#include <loru/cpu/dual.hpp>
#include <loru/lowrank/visit.hpp>
#include <loru/nn/factored.hpp>

namespace loru::inline LORU_ISA::spectrum {

/// With respect to what a curvature is taken where a layer has W + s·B·A.
enum class Weights : unsigned char {
  effective,  ///< the effective weight, as one dense weight
  factors,    ///< W, A and B as they are
};

namespace detail {

/// The tensor with tangents of zero, on device D.
template <class T, class D>
Tensor<Dual<T>, D> dual(const Tensor<T, D>& x) {
  const Tensor<T> host = to_host(x);
  Tensor<Dual<T>> out(host.shape(), host.layout());
  std::copy(host.data(), host.data() + host.size(), out.data());
  return to_device<D>(out);
}

template <class T, class D>
nn::Weight<Dual<T>, D> dual_factors(nn::Factored<T, D>& from) {
  const Plan plan = Plan::composed;  // one graph for every batch, so that its size changes no bit
  return nn::Weight<Dual<T>, D>(nn::Factored<Dual<T>, D>(
      dual(from.base().decoded()), dual(from.a().value()), dual(from.b().value()),
      {.alpha = from.alpha(), .plan = [plan](const LowRankProblem&) { return plan; }}));
}

/// Gives each weight of `like` the values of the layer of that name. Returns the names of both weights'
/// tensors.
template <class T, class D>
std::set<std::string> set_weights(nn::Model<T, D>& from, nn::Model<Dual<T>, D>& like, Weights weights) {
  std::map<std::string, nn::Weight<T, D>*> own;
  from.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& w) { own[layer] = &w; }});
  std::set<std::string> names;
  like.visit({.weight = [&](const std::string& layer, nn::Weight<Dual<T>, D>& w) {
    const auto found = own.find(layer);
    require<ConfigError>(found != own.end(), "dual_model: layer ", layer, ": expected it in both models");
    require<ShapeError>(w.shape() == found->second->shape(), "dual_model: layer ", layer, ": expected shape ",
                        w.shape(), ", got ", found->second->shape());
    auto* factored = found->second->template as<nn::Factored<T, D>>();
    w = factored && weights == Weights::factors ? dual_factors(*factored)
                                                : nn::Weight<Dual<T>, D>(dual(found->second->effective()));
    const auto remember = [&](const std::string& name, auto&) { names.insert(name); };
    w.visit({.parameter = remember}, layer);
    found->second->visit({.parameter = remember}, layer);
    own.erase(found);
  }});
  require<ConfigError>(own.empty(), "dual_model: layer ", own.empty() ? "" : own.begin()->first,
                       ": expected it in both models");
  return names;
}

}  // namespace detail

/// `like`, a model of the same layers with dense weights, with the values of `from`: parameters, buffers,
/// and weights as `weights` says. Throws ConfigError for a layer or tensor that one of the two lacks,
/// ShapeError for another shape.
template <class T, class D>
nn::Model<Dual<T>, D> dual_model(nn::Model<T, D>& from, nn::Model<Dual<T>, D> like,
                                 Weights weights = Weights::effective) {
  const std::set<std::string> done = detail::set_weights(from, like, weights);
  std::map<std::string, Tensor<T, D>> values;
  for (const auto& p : from.parameters()) values.emplace(p.name, p.value.decoded());
  for (const auto& b : from.buffers()) values.emplace(b.name, b.value);
  std::erase_if(values, [&](const auto& entry) { return done.contains(entry.first); });
  const auto value = [&](const std::string& name) {
    const auto found = values.extract(name);
    require<ConfigError>(!found.empty(), "dual_model: ", name, ": expected it in both models");
    return detail::dual(found.mapped());
  };
  like.visit({.parameter =
                  [&](const std::string& name, Variable<Dual<T>, D>& v) {
                    if (!done.contains(name)) v.set_value(value(name));
                  },
              .buffer = [&](const std::string& name, Tensor<Dual<T>, D>& t) { t = value(name); }});
  require<ConfigError>(values.empty(), "dual_model: ", values.empty() ? "" : values.begin()->first,
                       ": expected it in both models");
  return like;
}

}  // namespace loru::inline LORU_ISA::spectrum
