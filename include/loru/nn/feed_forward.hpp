#pragma once
// The feed-forward blocks of transformers.

#include <array>

#include <loru/nn/linear.hpp>

namespace loru::inline LORU_ISA::nn {

struct FeedForwardOptions {
  Index width = 1, hidden = 1;
  Init init = Init::kaiming;
  std::array<std::string, 2> names{"fc1", "fc2"};
};

/// y = gelu(x·W_1ᵀ + b_1)·W_2ᵀ + b_2: x (M, width), W_1 (hidden, width), W_2 (width, hidden).
template <class T, class D = Cpu>
class FeedForward final : public Module<T, D> {
 public:
  FeedForward(const FeedForwardOptions& o, const rng::Stream& stream)
      : names_{o.names},
        first_{{o.width, o.hidden, true, o.init}, stream.fork(0)},
        second_{{o.hidden, o.width, true, o.init}, stream.fork(1)} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    return second_.forward(gelu(first_.forward(x, pass)), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    first_.visit(visitor, join_name(prefix, names_[0]));
    second_.visit(visitor, join_name(prefix, names_[1]));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<FeedForward>(*this); }

 private:
  std::array<std::string, 2> names_;
  Linear<T, D> first_, second_;
};

/// y = (silu(x·W_gᵀ) ⊙ x·W_uᵀ)·W_dᵀ without biases: W_g and W_u (hidden, width), W_d (width, hidden). Source:
/// Shazeer, arXiv 2002.05202.
template <class T, class D = Cpu>
class GatedFeedForward final : public Module<T, D> {
 public:
  GatedFeedForward(const FeedForwardOptions& o, const rng::Stream& stream)
      : gate_{{o.width, o.hidden, false, o.init}, stream.fork(0)},
        up_{{o.width, o.hidden, false, o.init}, stream.fork(1)},
        down_{{o.hidden, o.width, false, o.init}, stream.fork(2)} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    return down_.forward(swiglu(gate_.forward(x, pass), up_.forward(x, pass)), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    gate_.visit(visitor, join_name(prefix, "gate_proj"));
    up_.visit(visitor, join_name(prefix, "up_proj"));
    down_.visit(visitor, join_name(prefix, "down_proj"));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<GatedFeedForward>(*this); }

 private:
  Linear<T, D> gate_, up_, down_;
};

}  // namespace loru::inline LORU_ISA::nn
