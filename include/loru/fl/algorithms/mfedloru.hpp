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
  using hooks = Hooks<hook::shape, hook::load, hook::fold, hook::after_round, trait::mixed_ranks>;
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
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    Average<T> average;
    for (const Update& update : cohort.updates)
      average.add({update.head, update.samples, update.loss, full_factors(server.model(), update.state)});
    get_state(cohort.mean, server.model(), not_factor);
    get_state(server.optimized(average.result()), server.model(), is_factor);
  }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    merge_if_due(*this, server);
  }

 private:
  /// A_k and B_k of an update.
  template <class T, class D>
  static io::Archive full_factors(nn::Model<T, D>& model, const io::Archive& sent) {
    io::Archive full("update");
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      const auto put = [&](nn::Role role, const Tensor<T>& outer) {
        const std::string name = nn::factor_name(layer, role);
        full.share(name, sent.contains(name) ? sent.get<T>(name) : rebuilt(sent, layer, outer, role));
      };
      put(nn::Role::down, to_host(weight.a().value()));
      put(nn::Role::up, to_host(weight.b().value()));
    });
    return full;
  }
};

}  // namespace loru::inline LORU_ISA::fl
