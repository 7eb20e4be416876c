#pragma once
// The error of a server's fold against the exact mean of its clients' products.

#include <map>
#include <string>

#include <loru/fl/server/terms.hpp>
#include <loru/linalg/norms.hpp>
#include <loru/lowrank/product.hpp>

namespace loru::inline LORU_ISA::fl {

/// By layer: ‖W + Σ p_k·s_k·B_k·A_k − W'‖_F with W' the effective weight after the fold and before a merge.
/// For averaged factors it is ‖Σ p_k·s_k·B_k·A_k − s·B̄·Ā‖_F (Singhal et al., FedEx-LoRA, arXiv 2410.09432,
/// equation 5); a server optimizer's own step counts too. Where the server keeps W whole, it is
/// ‖Σ p_k·U_k·V_k − W'‖_F. In double, O(m·n·R) a layer, R the sum of the ranks. Layers of which the clients
/// train a factor that they do not send are left out.
template <class T, class D>
class AggregationError {
 public:
  /// Before the fold: the exact mean of the clients' effective weights.
  AggregationError(nn::Model<T, D>& model, const Cohort& cohort, const Selection& trained) {
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      const auto known = [&](const Update& update) {
        const auto either = [&](nn::Role role) {
          const std::string name = nn::factor_name(layer, role);
          return update.state.contains(name) || !chosen(trained, {name, role});
        };
        return either(nn::Role::down) && either(nn::Role::up);
      };
      if (cohort.updates.empty() || !std::ranges::all_of(cohort.updates, known)) return;
      const auto stack = lowrank::stack(terms(cohort, layer, weight));
      exact_[layer] = compose(to_host(weight.base().decoded()), stack.a, stack.b, weight.scale());
    });
    lowrank::for_each_weight<nn::LowRankProduct>(
        model, [&](const std::string& layer, nn::LowRankProduct<T, D>&) {
          if (cohort.updates.empty()) return;
          const auto stack = lowrank::stack(product_terms<T>(cohort, layer));
          exact_[layer] = matmul(wide(stack.b), wide(stack.a), {});
        });
  }

  /// After it.
  std::map<std::string, double> operator()(nn::Model<T, D>& model) const {
    std::map<std::string, double> errors;
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      const auto found = exact_.find(layer);
      if (found == exact_.end()) return;
      Tensor<double> lost = compose(to_host(weight.base().decoded()), to_host(weight.a().value()),
                                    to_host(weight.b().value()), weight.scale());
      add_scaled(lost, -1.0, found->second);
      errors[layer] = linalg::norm(lost);
    });
    lowrank::for_each_weight<nn::LowRankProduct>(
        model, [&](const std::string& layer, nn::LowRankProduct<T, D>& weight) {
          const auto found = exact_.find(layer);
          if (found == exact_.end()) return;
          Tensor<double> lost = clone(found->second);
          add_scaled(lost, -1.0, wide(lowrank::whole_matrix(weight)));
          errors[layer] = linalg::norm(lost);
        });
    return errors;
  }

 private:
  static Tensor<double> wide(const Tensor<T>& t) {
    Tensor<double> w(t.shape(), t.layout());
    std::copy_n(t.data(), t.size(), w.data());
    return w;
  }
  static Tensor<double> compose(const Tensor<T>& w, const Tensor<T>& a, const Tensor<T>& b, double s) {
    return lowrank_compose(wide(w), wide(a), wide(b), s);
  }

  std::map<std::string, Tensor<double>> exact_;
};

}  // namespace loru::inline LORU_ISA::fl
