#pragma once
// The parametrisation of a weight by the product of two thin matrices, without a full one.

#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::nn {

/// W = U·V with U (m, r) and V (r, n) trained. For a convolution U is (m·kh, r) and V (r, kw·Cin): kernel
/// element W[o, c, y, x] stands in row (o, y) and column (x, c) of the product. It is what two convolutions
/// in a row compute, (r, Cin, 1, kw) and then (m, r, kh, 1), but done as one with the composed kernel, since
/// a ConvOptions has one stride and one padding for both directions. Source: Yao et al. (FedHM), arXiv
/// 2111.14655.
///
/// The server's form also holds W. W is then the weight and is not trained; clients begin with U and V.
template <class T, class D = Cpu>
class LowRankProduct final : public Parametrisation<T, D> {
 public:
  /// Throws ShapeError unless U and V fit the shape.
  LowRankProduct(const Shape& shape, Tensor<T, D> u, Tensor<T, D> v)
      : shape_{shape}, u_{std::move(u), true}, v_{std::move(v), true} {
    const Shape matrix = matrix_shape(shape_);
    const Index r = v_.shape()[0];
    require<ShapeError>(u_.shape() == Shape({matrix[0], r}) && v_.shape() == Shape({r, matrix[1]}),
                        "low-rank product: expected factors of ", matrix, ", got U ", u_.shape(), " and V ",
                        v_.shape());
  }

  /// The server's form.
  LowRankProduct(Tensor<T, D> weight, Tensor<T, D> u, Tensor<T, D> v)
      : LowRankProduct(weight.shape(), std::move(u), std::move(v)) {
    weight_ = Variable<T, D>(std::move(weight));
  }

  /// (m·kh, kw·Cin), or the shape itself.
  static Shape matrix_shape(const Shape& w) { return w.rank() == 4 ? Shape{w[0] * w[2], w[3] * w[1]} : w; }

  std::unique_ptr<Parametrisation<T, D>> clone() const override {
    return std::make_unique<LowRankProduct>(*this);
  }
  Shape shape() const override { return shape_; }
  Index rank() const override { return v_.shape()[0]; }
  /// W in the server's form, else empty.
  Variable<T, D>& whole() { return weight_; }
  Variable<T, D>& u() { return u_; }
  Variable<T, D>& v() { return v_; }

  WeightForm<T, D> form() const override {
    if (weight_) return {.w = weight_};
    const auto product = matmul(u_, v_);
    return {.w = shape_.rank() == 4 ? reinterpret(product, shape_, Layout::channels_last) : product};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_, Role::frozen);
    visitor(product_name(layer, Role::up), u_, Role::up);
    visitor(product_name(layer, Role::down), v_, Role::down);
  }

 private:
  Shape shape_;
  Variable<T, D> weight_, u_, v_;
};

}  // namespace loru::inline LORU_ISA::nn
