#pragma once
// The head of a decoder: logits over the vocabulary, or the losses of the targets without them.

#include <optional>

#include <loru/nn/init.hpp>
#include <loru/nn/linear_product.hpp>
#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::nn {

/// (M, 2) losses and hits of the pass's targets, if it has targets; else logits h·Wᵀ of all rows of h (M, d)
/// or, if the pass wants the last alone, of the last row of each sequence. W (V, d) is the weight, or `tied`,
/// the table of an embedding.
template <class T, class D = Cpu>
class TokenHead final : public Module<T, D> {
 public:
  /// Tied to an embedding: without a weight of its own.
  TokenHead() = default;
  TokenHead(Index width, Index vocabulary, Init init, const rng::Stream& stream)
      : weight_{Weight<T, D>(initial_weight<T, D>({vocabulary, width}, init, stream))} {}

  Variable<T, D> forward(const Variable<T, D>& h, Pass& pass) override { return forward(h, {}, pass); }

  Variable<T, D> forward(const Variable<T, D>& h, const Variable<T, D>& tied, Pass& pass) const {
    const Tokens<D>& tokens = tokens_of<D>(pass, "head");
    if (tokens.targets) return token_loss(h, weight_ ? compose(weight_->form()) : tied, tokens.targets);
    const auto rows = tokens.last_only ? embedding(h, detail::end_rows<D>("head", tokens.bounds, true)) : h;
    return weight_ ? linear(weight_->form(), rows, pass) : loru::linear(rows, tied);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    if (weight_) weight_->visit(visitor, prefix);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<TokenHead>(*this); }

 private:
  std::optional<Weight<T, D>> weight_;
};

}  // namespace loru::inline LORU_ISA::nn
