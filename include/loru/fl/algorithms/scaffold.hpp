#pragma once
// Stochastic controlled averaging.

#include <loru/fl/client/controls.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// Local steps follow g + c − c_k, so that clients do not drift apart; after its K steps c_k⁺ is the mean of
/// the client's gradients g, which under plain descent is option II: c_k − c + (x − y_k) / (K·η). The server
/// averages the models by samples, as FedAvg does, and c ← c + Σ_k (c_k⁺ − c_k) / N over the cohort of a
/// federation of N clients. Controls begin at zero and have the shapes of the trained parameters; c goes down
/// and c_k⁺ − c_k up, while c_k stays on its client. Source: Karimireddy et al., arXiv 1910.06378, Algorithm
/// 1 with a global step of 1.
struct SCAFFOLD {
  bool low_rank = false;

  static constexpr std::string_view name = "scaffold";
  using hooks = Hooks<hook::broadcast, hook::train, hook::also_sent, hook::fold, trait::sums_alone>;
  static constexpr auto fields() { return Fields{layers_field<SCAFFOLD>()}; }

  template <class T, class D>
  void broadcast(Server<T, D>& server, io::Archive& archive, std::span<const Index>) const {
    put_state(archive, server.model());
    for (const auto& p : server.model().trained_parameters())
      archive.share(control_name(p.name), control_or_zero<T>(server.memory(), p.name, p.value.shape()));
  }

  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    Controls<T, D> controls(turn);
    const double loss =
        fl::train(turn, [&](std::vector<Variable<T, D>>& trained) { controls.correct(trained); });
    controls.renew();
    return loss;
  }

  template <class T, class D>
  std::vector<nn::Named<Shape>> also_sent(nn::Model<T, D>& model) const {
    std::vector<nn::Named<Shape>> controls;
    for (const auto& p : model.trained_parameters())
      controls.push_back({control_name(p.name), p.value.shape()});
    return controls;
  }

  /// Throws ConfigError if the server does not know how many clients there are.
  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    require<ConfigError>(server.clients() > 0,
                         "scaffold: expected a server that knows the number of clients");
    get_state(cohort.mean, server.model(), server.sent());
    for (const auto& p : server.model().trained_parameters()) {
      Tensor<T> sum = control_or_zero<T>(server.memory(), p.name, p.value.shape());
      add_scaled(sum, static_cast<T>(cohort.answers) / static_cast<T>(server.clients()),
                 cohort.extra.get<T>(control_name(p.name)));
      server.memory().put(control_name(p.name), sum);
    }
  }
};

}  // namespace loru::inline LORU_ISA::fl
