#pragma once
// Dropout layer.

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// The dropout of a pass: x itself where p is 0 or the pass does not train.
template <class T, class D>
Variable<T, D> dropout(const Variable<T, D>& x, double p, Pass& pass) {
  return pass.training && p > 0.0 ? loru::dropout(x, p, pass.next_dropout()) : x;
}

/// In training, zeroes each element with probability p and divides the others by 1 − p; otherwise the
/// identity. Source: Srivastava et al., JMLR 15, 2014. Throws ConfigError unless 0 <= p < 1.
template <class T, class D = Cpu>
class Dropout final : public Module<T, D> {
 public:
  explicit Dropout(double p = 0.5) : p_{p} {
    require<ConfigError>(p >= 0.0 && p < 1.0, "dropout: expected 0 <= p < 1, got ", p);
  }
  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override { return dropout(x, p_, pass); }
  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Dropout>(*this); }

 private:
  double p_;
};

}  // namespace loru::inline LORU_ISA::nn
