#pragma once
// Embedding layer.

#include <loru/nn/init.hpp>
#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::nn {

struct EmbeddingOptions {
  Index rows = 1, width = 1;
  double deviation = 0.02;  ///< of the initial values
  bool drawn = true;        ///< else the table has no elements until values from elsewhere are set
};

/// y[i] = table[token i] for the tokens of the pass: table (rows, width). Its input is not read. at() reads
/// other rows, such as those of positions.
template <class T, class D = Cpu>
class Embedding final : public Module<T, D> {
 public:
  Embedding(const EmbeddingOptions& o, const rng::Stream& stream)
      : table_{o.drawn ? normal<T, D>({o.rows, o.width}, o.deviation, stream)
                       : Tensor<T, D>::without_elements({o.rows, o.width}),
               true} {}

  Variable<T, D> forward(const Variable<T, D>&, Pass& pass) override {
    return at(tokens_of<D>(pass, "embedding").tokens);
  }
  Variable<T, D> at(const Tensor<std::int32_t, D>& rows) const { return embedding(table_, rows); }
  const Variable<T, D>& table() const { return table_; }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    visitor(join_name(prefix, "weight"), table_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Embedding>(*this); }

 private:
  Variable<T, D> table_;
};

}  // namespace loru::inline LORU_ISA::nn
