#pragma once
// Stochastic controlled averaging.

#include <tuple>

#include <loru/fl/server.hpp>

namespace loru::fl {

/// Local steps follow g + c − c_k, so that clients do not drift apart; after its K steps c_k⁺ is the mean of the client's
/// gradients g, which under plain descent is option II: c_k − c + (x − y_k) / (K·η). The server averages the models by samples,
/// as FedAvg does, and c ← c + Σ_k (c_k⁺ − c_k) / N over the cohort of a federation of N clients. Controls begin at zero and have
/// the shapes of the trained parameters; c goes down and c_k⁺ − c_k up, while c_k stays on its client.
/// Source: Karimireddy et al., arXiv 1910.06378, Algorithm 1 with a global step of 1.
struct Scaffold {
  bool low_rank = false;

  static constexpr std::string_view name = "scaffold";
  static constexpr bool keeps_updates = true, controls = true;
  static constexpr auto fields() { return std::tuple{layers_choice<Scaffold>()}; }

  template <class T, class D>
  void broadcast(Server<T, D>& server, io::Archive& archive, Index) const {
    put_state(archive, server.model());
    for (const auto& p : server.model().trained_parameters())
      archive.share("control." + p.name, control<T>(server.memory(), p.name, p.value.shape()));
  }

  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    struct Control {
      Tensor<T> own;                   // c_k
      Tensor<T, D> correction, total;  // c − c_k, Σ g
    };
    const auto parameters = turn.model.trained_parameters();
    std::vector<Control> controls;
    for (const auto& p : parameters) {
      const std::string key = "control." + p.name;
      const Layout layout = p.value.value().layout();
      Tensor<T> own = keeps(turn.state, "control.")
                          ? personal_tensor<T>(turn.state, turn.head.client, key, p.value.shape())
                          : nn::constant<T>(p.value.shape(), 0.0);
      Tensor<T> correction = turn.broadcast.template get<T>(key, p.value.shape());
      add_scaled(correction, T(-1), own);
      controls.push_back({own, to_device<D>(to_layout(correction, layout)),
                          to_device<D>(to_layout(nn::constant<T>(p.value.shape(), 0.0), layout))});
    }
    Index steps = 0;
    const double loss = fl::train(turn, [&](std::vector<Variable<T, D>>& trained) {
      ++steps;
      for (std::size_t i = 0; i < trained.size(); ++i) {
        Tensor<T, D>& gradient = trained[i].mutable_gradient();
        if (!gradient) continue;
        if (!gradient.unique()) gradient = clone(gradient);
        add_scaled(controls[i].total, T(1), gradient);
        add_scaled(gradient, T(1), controls[i].correction);
      }
    });
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string key = "control." + parameters[i].name;
      Tensor<T> mean = nn::constant<T>(parameters[i].value.shape(), 0.0), change = clone(mean);
      add_scaled(mean, T(1) / static_cast<T>(steps),
                 to_layout(to_host(controls[i].total), Layout::row_major));
      turn.state.put(key, mean);
      add_scaled(change, T(1), mean);
      add_scaled(change, T(-1), controls[i].own);
      turn.more.put(key, change);
    }
    return loss;
  }

  /// Throws ConfigError if the server does not know how many clients there are.
  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    require<ConfigError>(server.clients() > 0,
                         "scaffold: expected a server that knows the number of clients");
    get_state(cohort.mean, server.model(), server.sent());
    for (const auto& p : server.model().trained_parameters()) {
      Tensor<T> sum = control<T>(server.memory(), p.name, p.value.shape());
      for (const Update& update : cohort.updates)
        add_scaled(sum, T(1) / static_cast<T>(server.clients()), update.state.get<T>("control." + p.name));
      server.memory().put("control." + p.name, sum);
    }
  }

 private:
  template <class T>
  static Tensor<T> control(const io::Archive& memory, const std::string& parameter, const Shape& shape) {
    const std::string key = "control." + parameter;
    return memory.contains(key) ? memory.get<T>(key, shape) : nn::constant<T>(shape, 0.0);
  }
};

}  // namespace loru::fl
