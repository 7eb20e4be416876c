#pragma once
// Replacing the parametrisation of chosen layers by W + s·B·A.

#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include <loru/core/fields.hpp>
#include <loru/core/text.hpp>
#include <loru/lowrank/init.hpp>
#include <loru/lowrank/planner.hpp>
#include <loru/nn/freeze.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// What happens to a chosen layer whose min(m, n) is below the rank.
enum class SmallLayers : unsigned char { error, dense, factor };

/// Where the factors start.
struct Start {
  enum Kind : unsigned char {
    zero,  ///< A random, B zero: the effective weight is W
    svd,   ///< s·B·A is the best rank-r part of W, and W keeps the rest: the effective weight is W
    peft,  ///< those of an adapter in PEFT's format: io::add_adapter reads it, factorize() refuses
  };
  Kind kind = zero;
  std::filesystem::path folder{};  ///< of the adapter

  Start(Kind k = zero, std::filesystem::path f = {}) : kind{k}, folder{std::move(f)} {}
  friend bool operator==(const Start&, const Start&) = default;
};

struct FactorizeOptions {
  Index rank = 16;
  /// Instead of rank, if not empty: one for each chosen layer, in the model's order.
  std::vector<Index> ranks{};
  /// s = alpha / rank; zero means alpha = rank, layer by layer.
  double alpha = 16.0;
  /// s = alpha / √rank instead (Kalajdzievski, arXiv 2312.03732): the layer's alpha is then alpha·√rank.
  bool rslora = false;
  /// Shell patterns of layer names (`conv2`, `layer?.*`). Empty: every layer but the first and the last.
  std::vector<std::string> layers{};
  SmallLayers small_layers = SmallLayers::error;
  double dropout = 0.0;
  PlanChoice plan = PlanChoice::automatic;
  /// Rates for the planner; if not set, those of the model's device.
  std::optional<Rates> rates{};
  Start start{};
  /// Factor of A wherever it is drawn at random: at the start and after a merge.
  double init_scale = 1.0;
  std::uint64_t seed = 1;

  static constexpr auto fields() {
    using F = FactorizeOptions;
    return Fields{
        field("rank", &F::rank, range::at_least(1), "rank r of a layer's update alpha / r · B·A"),
        field("ranks", &F::ranks, Each{range::at_least(1)},
              "instead of rank: one for each chosen layer, in the model's order"),
        field("alpha", &F::alpha, range::not_negative, "scale of the update; 0 stands for the rank"),
        field("rslora", &F::rslora, "whether the scale is alpha / sqrt(rank) instead of alpha / rank"),
        field("layers", &F::layers,
              "name patterns of the layers; none: every layer but the first and the last"),
        field("small_layers", &F::small_layers,
              words<SmallLayers>({{"error", SmallLayers::error},
                                  {"dense", SmallLayers::dense},
                                  {"factor", SmallLayers::factor}}),
              "what becomes of a chosen layer whose extents are below the rank"),
        field("dropout", &F::dropout, range::below_one, "between the factors"),
        field("plan", &F::plan,
              words<PlanChoice>({{"auto", PlanChoice::automatic},
                                 {"factored", PlanChoice::factored},
                                 {"composed", PlanChoice::composed},
                                 {"composed_full", PlanChoice::composed_full}}),
              "the graph that computes a layer"),
        field("rates", &F::rates,
              "what plan = \"auto\" computes with: a file that ./dev calibrate wrote, or a table of its "
              "entries"),
        field("start", &F::start,
              "where the factors start: B is zero, or s·B·A the best part of W of that rank, or an adapter "
              "in the folder DIR, which then gives layers, ranks and scales"),
        field("init_scale", &F::init_scale, range::positive,
              "factor of a random A, at the start and after a merge")};
  }
};

namespace detail {

using nn::detail::matches;

/// Names of the layers with a weight, in the model's order.
template <class T, class D>
std::vector<std::string> layer_names(nn::Model<T, D>& model) {
  std::vector<std::string> names;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>&) { names.push_back(name); }});
  return names;
}

/// The chosen layers' names. Throws ConfigError for a pattern that matches no layer.
template <class T, class D>
std::vector<std::string> chosen_layers(nn::Model<T, D>& model, const FactorizeOptions& o) {
  const std::vector<std::string> all = layer_names(model);
  if (o.layers.empty())
    return all.size() < 3 ? all : std::vector<std::string>(all.begin() + 1, all.end() - 1);
  for (const std::string& pattern : o.layers)
    require<ConfigError>(
        std::any_of(all.begin(), all.end(), [&](auto& name) { return matches({pattern}, name); }),
        "factorize: no layer matches '", pattern, "', did you mean '", nearest(pattern, all), "'?");
  std::vector<std::string> chosen;
  std::copy_if(all.begin(), all.end(), std::back_inserter(chosen),
               [&](const std::string& name) { return matches(o.layers, name); });
  return chosen;
}

/// The rank of each chosen layer. Throws ConfigError for a list of another length.
inline std::map<std::string, Index> chosen_ranks(const std::vector<std::string>& chosen,
                                                 const FactorizeOptions& o) {
  std::string names;
  for (const std::string& name : chosen) names += (names.empty() ? "" : ", ") + name;
  require<ConfigError>(o.ranks.empty() || o.ranks.size() == chosen.size(), "factorize: ranks: expected ",
                       chosen.size(), chosen.size() == 1 ? " rank" : " ranks", ", one for each of ", names,
                       "; got ", o.ranks.size());
  std::map<std::string, Index> ranks;
  for (std::size_t i = 0; i < chosen.size(); ++i) ranks[chosen[i]] = o.ranks.empty() ? o.rank : o.ranks[i];
  return ranks;
}

/// True if the layer is to be factorised; throws for a rank above min(m, n) under SmallLayers::error.
inline bool wide_enough(const std::string& layer, const Shape& w, Index rank, const FactorizeOptions& o) {
  const Index in = w.rank() == 4 ? w[1] * w[2] * w[3] : w[1], least = std::min(in, w[0]);
  if (rank <= least || o.small_layers == SmallLayers::factor) return true;
  require<ConfigError>(o.small_layers == SmallLayers::dense, "factorize: layer ", layer, ": rank ", rank,
                       " exceeds min(in=", in, ", out=", w[0], ") = ", least);
  return false;
}

/// What a layer of factors of that rank is made with.
template <class T, class D>
typename nn::Factored<T, D>::Options factor_options(const FactorizeOptions& o, Index rank) {
  const Rates rates = o.rates ? *o.rates : device_rates(D{});
  const auto r = static_cast<double>(rank);
  const double alpha = (o.alpha > 0.0 ? o.alpha : r) * (o.rslora ? std::sqrt(r) : 1.0);
  return {alpha, o.dropout, plan_rule<D>(o.plan, rates), o.init_scale};
}

template <class T, class D>
nn::Factored<T, D> factored(const Variable<T, D>& w, Index wanted, const FactorizeOptions& o,
                            const rng::Stream& stream) {
  // A decomposition has at most min(m, n) directions.
  const Index m = w.shape()[0];
  const Index most = o.start == Start::svd ? std::min(m, w.shape().size() / m) : wanted;
  const Index rank = std::min(wanted, most);
  const auto options = factor_options<T, D>(o, rank);
  if constexpr (!is_dual<T>)
    if (o.start == Start::svd) {
      const double s = options.alpha / static_cast<double>(rank);
      const Tensor<T, D> whole = w.decoded();
      const auto f = to_device<D>(svd_factors(to_host(whole), rank, s));
      Tensor<T, D> rest = lowrank_compose(whole, f.a, f.b, -s);
      return {rest, f.a, f.b, options};
    }
  const auto f = to_device<D>(initial_factors<T>(w.shape(), rank, stream, o.init_scale));
  return {w, Variable<T, D>(f.a, true), Variable<T, D>(f.b, true), options};
}

/// Gives every chosen layer the parametrisation make(weight as a constant, rank, stream of the layer).
/// Returns the layers' names. Throws ConfigError, and changes nothing, as factorize() does.
template <class T, class D, class Make>
std::vector<std::string> replace_chosen(nn::Model<T, D>& model, const FactorizeOptions& o, Make make) {
  check_fields(o, "factorize");
  require<ConfigError>(o.start.kind != Start::peft,
                       "factorize: start: expected zero or svd, got peft:", o.start.folder.native());
  const std::map<std::string, Index> ranks = chosen_ranks(chosen_layers(model, o), o);
  std::vector<std::string> wanted;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    if (!ranks.contains(name) || !wide_enough(name, weight.shape(), ranks.at(name), o)) return;
    require<ConfigError>(weight.template as<nn::Dense<T, D>>() != nullptr, "factorize: layer ", name,
                         " is factorised already");
    wanted.push_back(name);
  }});
  const rng::Stream stream(o.seed, rng::Purpose::merge);
  std::uint32_t position = 0;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    ++position;
    if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) return;
    weight = nn::Weight<T, D>(make(weight.constant(), ranks.at(name), stream.fork(position)));
  }});
  return wanted;
}

}  // namespace detail

/// Replaces the weight of every chosen layer by W + s·B·A with W frozen; the effective weights stay the same.
/// Returns the names of the factorised layers. Throws ConfigError, and changes nothing, for a field outside
/// its range, a list of ranks of another length than the chosen layers, a pattern without a layer, a rank
/// above min(m, n) with SmallLayers::error, and a layer that is factorised already. A convolution with groups
/// refuses its factored weight at the first product.
template <class T, class D>
std::vector<std::string> factorize(nn::Model<T, D>& model, const FactorizeOptions& o = {}) {
  return detail::replace_chosen(model, o,
                                [&](const Variable<T, D>& w, Index rank, const rng::Stream& stream) {
                                  return detail::factored<T, D>(w, rank, o, stream);
                                });
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_FACTORIZE(TEMPLATE, T) \
  TEMPLATE std::vector<std::string> factorize<T, Cpu>(nn::Model<T>&, const FactorizeOptions&);
#ifdef LORU_COMPILED
LORU_COMPILED_FACTORIZE(extern template, float)
LORU_COMPILED_FACTORIZE(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::lowrank
