#pragma once
// Federated low-rank updates where some clients train only part of the rank.

#include <loru/fl/server/server.hpp>
#include <loru/lowrank/nested.hpp>

namespace loru::inline LORU_ISA::fl {

/// FedLoRU for clients of rank budgets r_k. Where r_k = r a client trains (A, B). Elsewhere it trains A +
/// A_d·A_u and B + B_u·B_d with A, B fixed, of inner rank r_k, and sends the inner factors alone: r_k·(m + n
/// + 2·r) numbers a layer. The server rebuilds A_k and B_k and averages them at rank r. A_d and B_u start at
/// zero, A_u and B_d are drawn: stream (seed, nested, round, client). Source: Park and Klabjan (mFedLoRU),
/// arXiv 2409.12371.
struct MFedLoRU {
  Index tau = 10;
  lowrank::MergeKind merge = lowrank::MergeKind::reinit;
  MergeWhen merge_when = MergeWhen::tau;
  std::vector<Index> merge_rounds{};
  double growth = 0.05;
  Index window = 3;

  static constexpr std::string_view name = "mfedloru";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::shape, hook::load, hook::expanded, hook::after_round, trait::mixed_ranks>;
  static constexpr auto fields() { return merge_fields<MFedLoRU>(); }

  template <class T, class D>
  void shape(nn::Model<T, D>& model, std::span<const Index> ranks) const {
    lowrank::set_inner_ranks(model, ranks);
  }

  template <class T, class D>
  void load(nn::Model<T, D>& model, const io::Archive& broadcast) const {
    const Head head = detail::get_head(broadcast, "broadcast");
    get_state(broadcast, model, [](const nn::TensorId& tensor) { return tensor.role != nn::Role::inner; });
    const rng::Stream stream(head.seed, rng::Purpose::nested, static_cast<std::uint32_t>(head.round),
                             static_cast<std::uint32_t>(head.client));
    std::uint32_t position = 0;
    lowrank::for_each_weight<nn::Nested>(model, [&](const std::string& layer, nn::Nested<T, D>& weight) {
      const Shape w = weight.shape(), a = lowrank::factor_shape(w, weight.rank()), b{w[0], weight.rank()};
      const auto of = [&](nn::Role role, const Shape& shape) {
        return broadcast.get<T>(nn::factor_name(layer, role), shape);
      };
      weight.set_factors(to_device<D>(to_layout(of(nn::Role::down, a), weight.base().layout())),
                         to_device<D>(of(nn::Role::up, b)),
                         lowrank::initial_inner<T, D>(a, b, weight.inner_rank(), stream.fork(++position)));
    });
  }

  template <class T, class D>
  io::Archive expanded(nn::Model<T, D>& model, const io::Archive& update) const {
    io::Archive full("update");
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      full.share(nn::factor_name(layer, nn::Role::down),
                 rebuilt(update, layer, to_host(weight.a().value()), nn::Role::down));
      full.share(nn::factor_name(layer, nn::Role::up),
                 rebuilt(update, layer, to_host(weight.b().value()), nn::Role::up));
    });
    for (const auto& tensor : model.state())
      if (not_factor(tensor.id()) && update.contains(tensor.name))
        full.put_raw(tensor.name, update.raw(tensor.name));
    return full;
  }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    merge_if_due(*this, server);
  }

 private:
  /// A_k = A + A_d·A_u (`of` down) or B_k = B + B_u·B_d (up) of an update with inner factors nested in the
  /// server's `outer`, A or B; the update's own A_k or B_k where it has one, else `outer`. Throws DataError
  /// for factors that do not fit.
  template <class T>
  static Tensor<T> rebuilt(const io::Archive& sent, const std::string& layer, const Tensor<T>& outer,
                           nn::Role of) {
    const nn::Role other = of == nn::Role::down ? nn::Role::up : nn::Role::down;
    const std::string own = nn::factor_name(layer, of);
    const std::string left = nn::inner_name(layer, of, of), right = nn::inner_name(layer, of, other);
    if (sent.contains(own)) return sent.get<T>(own, outer.shape());
    if (!sent.contains(right)) return outer;
    const Shape& shape = sent.raw(right).shape;
    const Index rank = shape.rank() > 0 ? shape[0] : 0;
    return lowrank_compose(
        outer, to_layout(sent.get<T>(right, lowrank::factor_shape(outer.shape(), rank)), outer.layout()),
        sent.get<T>(left, {outer.dim(0), rank}), 1.0);
  }
};

}  // namespace loru::inline LORU_ISA::fl
