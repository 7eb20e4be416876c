#pragma once
// Residual blocks.

#include <loru/nn/sequential.hpp>

namespace loru::inline LORU_ISA::nn {

/// y = relu(body(x) + shortcut(x)), sum and ReLU fused with the body's last layer where it can; an empty
/// shortcut is the identity. Source: He et al., arXiv 1512.03385.
/// The body's children are named under the block itself, the shortcut's under "downsample".
template <class T, class D = Cpu>
class Residual final : public Module<T, D> {
 public:
  Residual(Sequential<T, D> body, Sequential<T, D> shortcut)
      : body_{std::move(body)}, shortcut_{std::move(shortcut)} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    return body_.forward_relu(x, shortcut_.forward(x, pass), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    body_.visit(visitor, prefix);
    shortcut_.visit(visitor, join_name(prefix, "downsample"));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Residual>(*this); }

 private:
  Sequential<T, D> body_, shortcut_;
};

}  // namespace loru::inline LORU_ISA::nn
