#pragma once
// Fully connected layer.

#include <loru/nn/init.hpp>
#include <loru/nn/linear_product.hpp>

namespace loru::inline LORU_ISA::nn {

struct LinearOptions {
  Index in = 1, out = 1;
  bool bias = true;
  Init init = Init::kaiming;
};

/// y = x·Wᵀ + b: x (M, in), W (out, in), b (out).
template <class T, class D = Cpu>
class Linear final : public Module<T, D> {
 public:
  Linear(const LinearOptions& o, const rng::Stream& stream)
      : weight_{initial_weight<T, D>({o.out, o.in}, o.init, stream.fork(0))} {
    if (o.bias) bias_ = Variable<T, D>(initial_bias<T, D>({o.out, o.in}, stream.fork(1), o.init), true);
  }

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    return bias_ ? add_bias(product(x, pass), bias_) : product(x, pass);
  }

  Variable<T, D> forward_relu(const Variable<T, D>& x, const Variable<T, D>& residual, Pass& pass) override {
    if (!bias_) return Module<T, D>::forward_relu(x, residual, pass);
    return add_bias(product(x, pass), bias_, {true, residual});
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    weight_.visit(visitor, prefix);
    visitor(join_name(prefix, "bias"), bias_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Linear>(*this); }

 private:
  Variable<T, D> product(const Variable<T, D>& x, Pass& pass) const {
    const Shape w = weight_.shape();
    require<ShapeError>(x.shape().rank() == 2 && x.shape()[1] == w[1], "linear: expected input (M, ", w[1],
                        "), got ", x.shape());
    return linear(weight_.form(), x, pass);
  }

  Weight<T, D> weight_;
  Variable<T, D> bias_;
};

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LINEAR(TEMPLATE, T) TEMPLATE class Linear<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_LINEAR(extern template, float)
LORU_COMPILED_LINEAR(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
