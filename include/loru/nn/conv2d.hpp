#pragma once
// 2-d convolution layer.

#include <loru/nn/conv2d_product.hpp>
#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::nn {

struct Conv2dOptions {
  Index in = 1, out = 1, kernel = 3;
  Index stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
  Init init = Init::kaiming;
};

/// y = W ⋆ x + b: x (N, in, H, W), W (out, in / groups, kernel, kernel), b (out).
template <class T, class D = Cpu>
class Conv2d final : public Module<T, D> {
 public:
  Conv2d(const Conv2dOptions& o, const rng::Stream& stream)
      : geometry_{o.stride, o.padding, o.dilation, o.groups},
        weight_{initial_weight<T, D>(weight_shape(o), o.init, stream.fork(0))} {
    if (o.bias) bias_ = Variable<T, D>(initial_bias<T, D>(weight_shape(o), stream.fork(1), o.init), true);
  }

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    auto y = conv2d(weight_.form(), x, geometry_, pass);
    return bias_ ? add_bias(std::move(y), bias_) : y;
  }

  Variable<T, D> forward_relu(const Variable<T, D>& x, const Variable<T, D>& residual, Pass& pass) override {
    if (!bias_) return Module<T, D>::forward_relu(x, residual, pass);
    return add_bias(conv2d(weight_.form(), x, geometry_, pass), bias_, {true, residual});
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    weight_.visit(visitor, prefix);
    visitor(join_name(prefix, "bias"), bias_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Conv2d>(*this); }

 private:
  static Shape weight_shape(const Conv2dOptions& o) {
    require<ShapeError>(o.groups > 0 && o.in % o.groups == 0 && o.out % o.groups == 0, "conv2d: ", o.groups,
                        " groups do not divide ", o.in, " and ", o.out, " channels");
    return {o.out, o.in / o.groups, o.kernel, o.kernel};
  }

  ConvOptions geometry_;
  Weight<T, D> weight_;
  Variable<T, D> bias_;
};

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_CONV2D(TEMPLATE, T) TEMPLATE class Conv2d<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_CONV2D(extern template, float)
LORU_COMPILED_CONV2D(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
