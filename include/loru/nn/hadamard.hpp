#pragma once
// The parametrisation by a Hadamard product of two low-rank matrices.

#include <array>

#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::nn {

/// W = W_1 ⊙ (W_2 + c) with W_i = B_i·A_i of rank R: A_i (R, n) and B_i (m, R) are trained. The rank of W
/// reaches R² with 2·R·(m + n) numbers. For a convolution W_i = T_i ×_1 B_i ×_2 A_i with a core T_i (R, R,
/// kh, kw), A_i (Cin, R, 1, 1) and B_i (m, R). c = 0 is FedPara, c = 1 the personalised form, of which only
/// W_1 is shared. Source: Hyeon-Woo et al. (FedPara), arXiv 2108.06098, propositions 1 and 3, section 2.3.
template <class T, class D = Cpu>
class Hadamard final : public Parametrisation<T, D> {
 public:
  /// The tensors of one W_i; a dense layer has no core.
  struct Part {
    Tensor<T, D> a, b, core;
  };

  /// Throws ShapeError unless both parts fit the shape.
  Hadamard(const Shape& shape, const Part& first, const Part& second, bool personal)
      : zero_{shape, layout(shape)},
        offset_{shape, layout(shape)},
        personal_{personal},
        parts_{variables(first), variables(second)} {
    fill(zero_, T(0));
    fill(offset_, T(personal ? 1 : 0));
    for (const Part& part : {first, second}) check(part);
  }

  std::unique_ptr<Parametrisation<T, D>> clone() const override { return std::make_unique<Hadamard>(*this); }
  Shape shape() const override { return zero_.shape(); }
  /// R.
  Index rank() const override { return parts_[0].b.shape()[1]; }
  /// Whether W_2 is the client's own.
  bool personal() const { return personal_; }

  WeightForm<T, D> form() const override {
    return {.w = multiply(product(parts_[0], zero_), product(parts_[1], offset_))};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::string name = join_name(layer, i == 0 ? "w1" : "w2");
      const Role role = i == 0 ? Role::first : Role::second;
      visitor(name + "_A.weight", parts_[i].a, role);
      visitor(name + "_B.weight", parts_[i].b, role);
      visitor(name + "_core.weight", parts_[i].core, role);
    }
  }

 private:
  struct Variables {
    Variable<T, D> a, b, core;
  };

  static Layout layout(const Shape& shape) {
    return shape.rank() == 4 ? Layout::channels_last : Layout::row_major;
  }

  static Variables variables(const Part& part) {
    const auto trained = [](const Tensor<T, D>& t) {
      return t ? Variable<T, D>(to_layout(t, Layout::channels_last), true) : Variable<T, D>();
    };
    return {trained(part.a), trained(part.b), trained(part.core)};
  }

  void check(const Part& part) const {
    const Shape w = shape();
    const bool convolution = w.rank() == 4;
    const Index r = part.b.rank() == 2 ? part.b.dim(1) : 0;
    require_shape("B", part.b, {w[0], r});
    require_shape("A", part.a, convolution ? Shape{w[1], r, 1, 1} : Shape{r, w[1]});
    if (convolution) require_shape("core", part.core, {r, r, w[2], w[3]});
  }

  static void require_shape(const char* what, const Tensor<T, D>& t, const Shape& expected) {
    require<ShapeError>(t.shape() == expected, "hadamard weight: ", what, ": expected ", expected, ", got ",
                        t.shape());
  }

  /// offset + B·A, or offset + T ×_1 B ×_2 A.
  static Variable<T, D> product(const Variables& part, const Tensor<T, D>& offset) {
    const Variable<T, D> a = part.core ? mixed_core(part.core, part.a) : part.a;
    return lowrank_compose(Variable<T, D>(offset), a, part.b, 1.0);
  }

  /// T ×_2 A (R, Cin, kh, kw): A mixes the second axis of the core, the columns of its memory (R·kh·kw, R).
  static Variable<T, D> mixed_core(const Variable<T, D>& core, const Variable<T, D>& a) {
    const Shape t = core.shape();
    const Index r = t[0], in = a.shape()[0];
    const Variable<T, D> rows = reinterpret(core, {r * t[2] * t[3], r}, Layout::row_major);
    const Variable<T, D> mixed = linear(rows, reinterpret(a, {in, r}, Layout::row_major));
    return reinterpret(mixed, {r, in, t[2], t[3]}, Layout::channels_last);
  }

  Tensor<T, D> zero_, offset_;
  bool personal_;
  std::array<Variables, 2> parts_;
};

}  // namespace loru::inline LORU_ISA::nn
