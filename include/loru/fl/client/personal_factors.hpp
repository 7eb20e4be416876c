#pragma once
// A client's own factors s_p·U·L beside a layer's W + s·B·A.

#include <loru/fl/client/own_tensors.hpp>
#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::fl {

/// The client's own factors of every factored layer, (r_p, n) and (m, r_p): `<layer>.personal_A.weight` and
/// `<layer>.personal_B.weight` of its state or, before its first turn, L Kaiming-uniform by stream (seed, personal, 0, client)
/// and U zero. Throws DataError for state of another model.
template <class T, class D>
lowrank::Products<T, D> personal_factors(const Turn<T, D>& turn, Index rank) {
  const Index client = turn.head.client;
  const rng::Stream stream(turn.head.seed, rng::Purpose::personal, 0, static_cast<std::uint32_t>(client));
  bool known = false;
  for (const std::string& name : turn.state.names()) known |= name.ends_with(".personal_A.weight");
  lowrank::Products<T, D> own;
  std::uint32_t position = 0;
  lowrank::for_each_weight<nn::Factored>(turn.model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    const Shape w = weight.shape();
    lowrank::Factors<T> f;
    if (known)
      f = {personal_tensor<T>(turn.state, client, layer + ".personal_A.weight",
                              lowrank::factor_shape(w, rank)),
           personal_tensor<T>(turn.state, client, layer + ".personal_B.weight", {w[0], rank})};
    else
      f = lowrank::initial_factors<T>(w, rank, stream.fork(++position));
    f.a = to_layout(f.a, weight.a().value().layout());
    own[layer] = lowrank::to_device<D>(f);
  });
  return own;
}

/// The client's own factors trained over the frozen W + s·B·A, all else fixed, on streams of their own, in a copy of the model: what
/// else a training pass moves is lost with it. Throws as personal_factors and train do.
template <class T, class D>
lowrank::Products<T, D> fit_personal_factors(const Turn<T, D>& turn, Index rank, double alpha) {
  const auto start = personal_factors(turn, rank);
  nn::Model<T, D> model(turn.model);
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    const auto* f = weight.template as<nn::Factored<T, D>>();
    if (!f) return;
    const auto& own = start.at(layer);
    weight = nn::Weight<T, D>(
        nn::Factored<T, D>(weight.effective(), own.a, own.b, {alpha, f->dropout(), f->plan_rule()}));
  }});
  const TrainOnly<T, D> guard(model, [](const std::string& t) { return is_lora_a(t) || is_lora_b(t); });
  Head head = turn.head;
  head.seed = rng::Stream(head.seed, rng::Purpose::personal).fork(0).key();
  fl::train(Turn<T, D>{model, turn.dataset, turn.samples, turn.options, head, turn.state, turn.broadcast,
                       turn.more, turn.task});
  return lowrank::products(model);
}

template <class T, class D>
void put_personal_factors(io::Archive& state, const lowrank::Products<T, D>& own) {
  for (const auto& [layer, f] : own) {
    state.put(layer + ".personal_A.weight", to_host(f.a));
    state.put(layer + ".personal_B.weight", to_host(f.b));
  }
}

/// W ← W + s_p·U·L in every factored layer, as new tensors.
template <class T, class D>
void add_personal(nn::Model<T, D>& model, const lowrank::Products<T, D>& own, double scale) {
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    const auto& f = own.at(layer);
    weight.base().set_value(lowrank_compose(weight.base().value(), f.a, f.b, scale));
  });
}

/// While one is alive, frozen weights may change; afterwards the model has its former ones again.
template <class T, class D = Cpu>
class KeepBase {
 public:
  explicit KeepBase(nn::Model<T, D>& model) {
    lowrank::for_each_weight<nn::Factored>(model, [&](auto&, nn::Factored<T, D>& weight) {
      before_.push_back({weight.base(), weight.base().value()});
    });
  }
  KeepBase(const KeepBase&) = delete;
  KeepBase& operator=(const KeepBase&) = delete;
  ~KeepBase() {
    for (auto& [base, value] : before_) base.set_value(value);
  }

 private:
  std::vector<std::pair<Variable<T, D>, Tensor<T, D>>> before_;
};

/// Frobenius norms of the update that all clients share and of the clients' own, and the cosine of the angle between them: −1
/// where the one undoes the other. Means over clients.
struct Overlap {
  double global_norm = 0.0, personal_norm = 0.0, cosine = 0.0;
};

/// By layer, of the model's effective weight − `start` and of s_p·U_k·L_k for the clients with personal factors. Empty if none has.
template <class T, class D>
std::map<std::string, Overlap> personal_overlap(nn::Model<T, D>& model,
                                                const std::map<std::string, Tensor<T, D>>& start,
                                                ClientStore& store, Index clients, double scale) {
  std::map<std::string, Overlap> all;
  std::map<std::string, Tensor<T>> shared;
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    if (!start.contains(layer)) return;
    shared[layer] = clone(to_host(weight.effective()));
    add_scaled(shared[layer], T(-1), to_host(start.at(layer)));
  }});
  Index counted = 0;
  for (Index client = 0; client < clients; ++client) {
    const auto state = store.load(client);
    if (!state) continue;
    bool counts = false;
    for (const auto& [layer, g] : shared) {
      if (!state->contains(layer + ".personal_A.weight")) continue;
      counts = true;
      const auto a = to_layout(state->get<T>(layer + ".personal_A.weight"), g.layout());
      const auto zero = to_layout(nn::constant<T>(g.shape(), 0.0), g.layout());
      const Tensor<T> p = lowrank_compose(zero, a, state->get<T>(layer + ".personal_B.weight"), scale);
      double dot = 0.0;
      for (Index i = 0; i < g.size(); ++i)
        dot += static_cast<double>(g.data()[i]) * static_cast<double>(p.data()[i]);
      const double x = std::sqrt(squared_norm(g)), y = std::sqrt(squared_norm(p));
      Overlap& sum = all[layer];
      sum.global_norm = x;
      sum.personal_norm += y;
      sum.cosine += x > 0.0 && y > 0.0 ? dot / (x * y) : 0.0;
    }
    counted += counts;
  }
  for (auto& [layer, o] : all) {
    o.personal_norm /= static_cast<double>(counted);
    o.cosine /= static_cast<double>(counted);
  }
  return all;
}

}  // namespace loru::fl
