#pragma once
// Control variates, which correct a client's gradients.

#include <loru/fl/client/own_tensors.hpp>

namespace loru::inline LORU_ISA::fl {

/// A parameter's control in an archive; zero if there is none yet.
template <class T>
Tensor<T> control_or_zero(const io::Archive& memory, const std::string& parameter, const Shape& shape) {
  const std::string key = control_name(parameter);
  return memory.contains(key) ? memory.get<T>(key, shape) : nn::constant<T>(shape, 0.0);
}

/// The controls of a client during its turn: c as the broadcast has it, c_k of its state, one for each
/// trained parameter.
template <class T, class D = Cpu>
class Controls {
 public:
  /// Throws DataError for controls of another model.
  explicit Controls(const Turn<T, D>& turn) : turn_{turn}, parameters_{turn.model.trained_parameters()} {
    for (const auto& p : parameters_) {
      const std::string key = control_name(p.name);
      const Layout layout = p.value.value().layout();
      const Tensor<T> zero = nn::constant<T>(p.value.shape(), 0.0);
      const Tensor<T> own = keeps(turn.state, control_name(""))
                                ? personal_tensor<T>(turn.state, turn.head.client, key, p.value.shape())
                                : zero;
      Tensor<T> correction = turn.broadcast.template get<T>(key, p.value.shape());
      add_scaled(correction, T(-1), own);
      controls_.push_back(
          {own, to_device<D>(to_layout(correction, layout)), to_device<D>(to_layout(clone(zero), layout))});
    }
  }

  /// g ← g + c − c_k for the gradients of a step.
  void correct(std::vector<Variable<T, D>>& trained) {
    ++steps_;
    for (std::size_t i = 0; i < trained.size(); ++i) {
      Tensor<T, D>& gradient = trained[i].mutable_gradient();
      if (!gradient) continue;
      if (!gradient.unique()) gradient = clone(gradient);
      add_scaled(controls_[i].total, T(1), gradient);
      add_scaled(gradient, T(1), controls_[i].correction);
    }
  }

  /// c_k ← the mean of the gradients that were corrected; c_k⁺ − c_k goes up.
  void renew() const {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const std::string key = control_name(parameters_[i].name);
      Tensor<T> mean = nn::constant<T>(parameters_[i].value.shape(), 0.0);
      add_scaled(mean, T(1) / static_cast<T>(steps_),
                 to_layout(to_host(controls_[i].total), Layout::row_major));
      Tensor<T> change = clone(mean);
      add_scaled(change, T(-1), controls_[i].own);
      turn_.state.put(key, mean);
      turn_.extra.put(key, change);
    }
  }

 private:
  struct Control {
    Tensor<T> own;                   // c_k
    Tensor<T, D> correction, total;  // c − c_k, Σ g
  };

  const Turn<T, D>& turn_;
  std::vector<nn::Named<Variable<T, D>>> parameters_;
  std::vector<Control> controls_;
  Index steps_ = 0;
};

}  // namespace loru::inline LORU_ISA::fl
