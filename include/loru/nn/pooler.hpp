#pragma once
// Pooling of sequences to their first token.

#include <loru/nn/linear.hpp>
#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::nn {

/// y = tanh(x·Wᵀ + b) of the first row of each sequence, which the caller has picked: x (N, width).
template <class T, class D = Cpu>
class Pooler final : public Module<T, D> {
 public:
  Pooler(Index width, Init init, const rng::Stream& stream) : dense_{{width, width, true, init}, stream} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    return tanh(dense_.forward(x, pass));
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    dense_.visit(visitor, join_name(prefix, "dense"));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Pooler>(*this); }

 private:
  Linear<T, D> dense_;
};

}  // namespace loru::inline LORU_ISA::nn
