#pragma once
// A client's personal factors s_p·U·L beside a layer's W + s·B·A.

#include <loru/fl/client/store.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::fl {

/// The name of L (Role::down) or U (Role::up) of a layer in a client's state.
inline std::string personal_name(const std::string& layer, nn::Role role) {
  return layer + (role == nn::Role::down ? ".personal_A.weight" : ".personal_B.weight");
}

/// The client's personal factors of every factored layer, (r_p, n) and (m, r_p): `<layer>.personal_A.weight`
/// and `<layer>.personal_B.weight` of its state. Before its first turn, L is Kaiming-uniform by stream (seed,
/// personal, 0, client) and U is zero. Throws DataError for the state of another model.
template <class T, class D>
lowrank::Products<T, D> personal_factors(const Turn<T, D>& turn, Index rank) {
  const Index client = turn.head.client;
  const rng::Stream stream(turn.head.seed, rng::Purpose::personal, 0, static_cast<std::uint32_t>(client));
  bool known = false;
  for (const std::string& name : turn.state.names())
    known |= name.ends_with(personal_name("", nn::Role::down));
  lowrank::Products<T, D> own;
  std::uint32_t position = 0;
  lowrank::for_each_weight<nn::Factored>(
      turn.model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
        const Shape w = weight.shape();
        lowrank::Factors<T> f;
        if (known)
          f = {personal_tensor<T>(turn.state, client, personal_name(layer, nn::Role::down),
                                  lowrank::factor_shape(w, rank)),
               personal_tensor<T>(turn.state, client, personal_name(layer, nn::Role::up), {w[0], rank})};
        else
          f = lowrank::initial_factors<T>(w, rank, stream.fork(++position));
        f.a = to_layout(f.a, weight.a().value().layout());
        own[layer] = lowrank::to_device<D>(f);
      });
  return own;
}

/// The client's personal factors trained over the frozen W + s·B·A, with all else fixed and on streams of
/// their own. They are trained in a copy of the model, and other changes of that copy are dropped. Throws as
/// personal_factors and train do.
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
  const TrainOnly<T, D> guard(model, is_factor);
  Head head = turn.head;
  head.seed = rng::Stream(head.seed, rng::Purpose::personal).fork(0).key();
  fl::train(Turn<T, D>{model, turn.dataset, turn.samples, turn.options, head, turn.state, turn.broadcast,
                       turn.extra, turn.task});
  return lowrank::products(model);
}

template <class T, class D>
void put_personal_factors(io::Archive& state, const lowrank::Products<T, D>& own) {
  for (const auto& [layer, f] : own) {
    state.put(personal_name(layer, nn::Role::down), to_host(f.a));
    state.put(personal_name(layer, nn::Role::up), to_host(f.b));
  }
}

/// W ← W + s_p·U·L in every factored layer, as new tensors.
template <class T, class D>
void add_personal(nn::Model<T, D>& model, const lowrank::Products<T, D>& own, double scale) {
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    const auto& f = own.at(layer);
    weight.base().set_value(lowrank_compose(weight.base().decoded(), f.a, f.b, scale));
  });
}

/// While one is alive, frozen weights may change. Afterwards the model has its former weights again.
template <class T, class D = Cpu>
class KeepBase {
 public:
  explicit KeepBase(nn::Model<T, D>& model) {
    lowrank::for_each_weight<nn::Factored>(model, [&](auto&, nn::Factored<T, D>& weight) {
      before_.push_back({weight.base(), weight.base().constant()});
    });
  }
  KeepBase(const KeepBase&) = delete;
  KeepBase& operator=(const KeepBase&) = delete;
  ~KeepBase() {
    for (auto& [base, before] : before_) base.share(before);
  }

 private:
  std::vector<std::pair<Variable<T, D>, Variable<T, D>>> before_;
};

}  // namespace loru::inline LORU_ISA::fl
