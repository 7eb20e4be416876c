#pragma once
// Options, results and shapes of ops on sequences of rows, shared by every device.

#include <vector>

#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

/// Sequences packed as rows one after the other; nothing is padded. Sequence i is the rows [starts[i],
/// starts[i + 1]), its first row stands at position `offset`.
struct Sequences {
  std::vector<Index> starts{0};
  Index offset = 0;

  Index count() const { return static_cast<Index>(starts.size()) - 1; }
  Index first(Index i) const { return starts[static_cast<std::size_t>(i)]; }
  Index length(Index i) const { return first(i + 1) - first(i); }
  Index rows() const { return starts.empty() ? 0 : starts.back(); }
  /// Length of the longest sequence.
  Index longest() const {
    Index most = 0;
    for (Index i = 0; i < count(); ++i) most = std::max(most, length(i));
    return most;
  }
};

/// Heads of queries, and groups of them that share a head of keys and values (Ainslie et al., arXiv
/// 2305.13245): head h reads the keys and values of head h / (heads / groups).
struct AttentionOptions {
  Index heads = 1;
  Index groups = 1;
  /// Whether a query sees only the keys up to its own position. Positions are counted from the sequence's
  /// end, so that the last query sees the last key.
  bool causal = false;
  /// Multiplies the products of queries and keys; 1 / √(width of a head) as a rule.
  double scale = 1.0;
};

/// Rows (M, d) of an attention's output and, per row and head, the logarithm of the sum of exponentials (M,
/// heads).
template <class T, class D = Cpu>
struct AttentionFeatures {
  Tensor<T, D> y, log_sum;
};

/// Which gradients of an attention are needed.
struct AttentionWanted {
  bool dq = true, dk = true, dv = true;
};

/// Gradients of an attention; those not wanted are empty.
template <class T, class D = Cpu>
struct AttentionGradients {
  Tensor<T, D> dq, dk, dv;
};

/// Normalised rows y of sum = x + residual, all (M, n), and what its backward pass needs besides the sum: the
/// mean (M), empty of a root-mean-square norm, and 1 / deviation (M).
template <class T, class D = Cpu>
struct RowNorm {
  Tensor<T, D> sum, y, mean, inverse_deviation;
};

/// Which gradients of a normalisation of rows are needed.
struct RowNormWanted {
  bool dx = true, dgamma = true;  ///< dgamma: dbeta, too
};

/// Gradients of a normalisation of rows; those not wanted are empty.
template <class T, class D = Cpu>
struct RowNormGradients {
  Tensor<T, D> dx, dgamma, dbeta;
};

/// Gradients of silu(gate) ⊙ up.
template <class T, class D = Cpu>
struct SwigluGradients {
  Tensor<T, D> gate, up;
};

/// Per row its loss and 1 if the largest logit (the first of equals) is the target's, else 0: values (M, 2);
/// the logarithm of the sum of exponentials (M); and the derivative of each row's loss with respect to its
/// features (M, d) if it was wanted.
template <class T, class D = Cpu>
struct TokenLoss {
  Tensor<T, D> values, log_sum, slope;
};

/// Gradients of a token loss; those not wanted are empty.
template <class T, class D = Cpu>
struct TokenLossGradients {
  Tensor<T, D> dh, dw;
};

/// A row without a target has this one, and has no loss.
inline constexpr std::int32_t no_target = -1;

namespace detail {

/// Throws ShapeError unless the starts go from 0 to `rows` without a step back.
inline void check_sequences(const char* where, const Sequences& s, Index rows) {
  require<ShapeError>(!s.starts.empty() && s.first(0) == 0 && s.rows() == rows && s.offset >= 0, where,
                      ": expected sequences from row 0 to row ", rows, " and an offset >= 0, got ",
                      s.starts.size(), " starts up to ", s.rows(), " and the offset ", s.offset);
  for (Index i = 0; i < s.count(); ++i)
    require<ShapeError>(s.length(i) >= 0, where, ": sequence ", i, " ends at row ", s.first(i + 1),
                        " before it starts at row ", s.first(i));
}

inline void check_embedding(const char* where, const Shape& table, const Shape& rows) {
  require<ShapeError>(table.rank() == 2 && rows.rank() == 1, where,
                      ": expected a table (V, n) and row numbers (M), got ", table, " and ", rows);
}

[[noreturn]] inline void fail_row(const char* where, std::int32_t row, Index place, Index rows) {
  fail<ShapeError>(where, ": row ", row, " at place ", place, " is outside the ", rows, " rows of the table");
}

/// x (M, n), residual of the same shape or empty, γ (n).
template <class T, class D>
void check_row_norm(const char* where, const Tensor<T, D>& x, const Tensor<T, D>& residual,
                    const Tensor<T, D>& gamma) {
  require<ShapeError>(x.rank() == 2 && x.dim(1) > 0 && gamma.shape() == Shape{x.dim(1)}, where,
                      ": expected rows (M, n) and n factors, got ", x.shape(), " and ", gamma.shape());
  if (residual) require_same_shape(where, x, residual);
}

/// The same, and β (n).
template <class T, class D>
void check_layer_norm(const char* where, const Tensor<T, D>& x, const Tensor<T, D>& residual,
                      const Tensor<T, D>& gamma, const Tensor<T, D>& beta) {
  check_row_norm(where, x, residual, gamma);
  require<ShapeError>(beta.shape() == gamma.shape(), where, ": expected ", x.dim(1),
                      " numbers to add to a row, got ", beta.shape());
}

/// dy and the kept sum (M, n), dsum of the same shape or empty, γ (n); of each row what was kept of it.
template <class T, class D>
void check_row_norm_backward(const char* where, const Tensor<T, D>& dy, const Tensor<T, D>& dsum,
                             const RowNorm<T, D>& kept, const Tensor<T, D>& gamma, bool centred) {
  check_row_norm(where, dy, dsum, gamma);
  require_same_shape(where, dy, kept.sum);
  const Shape rows{dy.dim(0)};
  require<ShapeError>(kept.inverse_deviation.shape() == rows && (!centred || kept.mean.shape() == rows),
                      where, ": expected the moments of ", dy.dim(0), " rows, got means ", kept.mean.shape(),
                      " and deviations ", kept.inverse_deviation.shape());
}

/// Width of a head that the table's rows turn: x (M, heads · width), table (positions, width).
template <class T, class D>
Index rotary_width(const Tensor<T, D>& x, const Tensor<T, D>& table, const Sequences& s) {
  require<ShapeError>(x.rank() == 2 && table.rank() == 2 && table.dim(1) > 0 && table.dim(1) % 2 == 0 &&
                          x.dim(1) % table.dim(1) == 0,
                      "rotary: expected rows of heads of an even width, got ", x.shape(), " and the table ",
                      table.shape());
  check_sequences("rotary", s, x.dim(0));
  require<ShapeError>(s.offset + s.longest() <= table.dim(0), "rotary: expected at most ", table.dim(0),
                      " positions, got ", s.offset + s.longest());
  return table.dim(1);
}

/// Extents of an attention: q (M, heads · width), k and v (Mk, groups · width).
struct AttentionShape {
  Index heads, groups, width;

  template <class T, class D>
  AttentionShape(const char* where, const Tensor<T, D>& q, const Tensor<T, D>& k, const Tensor<T, D>& v,
                 const Sequences& queries, const Sequences& keys, const AttentionOptions& o)
      : heads{o.heads}, groups{o.groups}, width{0} {
    require<ShapeError>(q.rank() == 2 && k.rank() == 2 && k.shape() == v.shape() && heads > 0 && groups > 0 &&
                            heads % groups == 0 && q.dim(1) % heads == 0 && q.dim(1) > 0 &&
                            q.dim(1) / heads * groups == k.dim(1),
                        where, ": queries ", q.shape(), ", keys ", k.shape(), " and values ", v.shape(),
                        " do not fit ", heads, " heads in ", groups, " groups");
    width = q.dim(1) / heads;
    check_sequences(where, queries, q.dim(0));
    check_sequences(where, keys, k.dim(0));
    require<ShapeError>(queries.count() == keys.count(), where, ": expected keys of ", queries.count(),
                        " sequences, got ", keys.count());
    for (Index i = 0; i < queries.count(); ++i)
      require<ShapeError>(queries.length(i) == 0 || (o.causal ? keys.length(i) >= queries.length(i)  //
                                                              : keys.length(i) > 0),
                          where, ": sequence ", i, " has ", queries.length(i), " queries and ",
                          keys.length(i), " keys");
  }
};

/// dy and the kept output as q, and the logarithms of its sums (M, heads).
template <class T, class D>
void check_attention_backward(const char* where, const Tensor<T, D>& dy, const Tensor<T, D>& q,
                              const AttentionFeatures<T, D>& kept, Index heads) {
  require_same_shape(where, dy, q);
  require_same_shape(where, kept.y, q);
  require<ShapeError>(kept.log_sum.shape() == Shape{q.dim(0), heads}, where, ": expected sums of ", q.dim(0),
                      " rows and ", heads, " heads, got ", kept.log_sum.shape());
}

/// h (M, d), w (V, d) and M targets.
inline void check_token_loss(const char* where, const Shape& h, const Shape& w, const Shape& targets) {
  require<ShapeError>(h.rank() == 2 && w.rank() == 2 && h[1] == w[1] && w[0] > 0 && targets == Shape{h[0]},
                      where, ": expected features (M, d), a head (V, d) and M targets, got ", h, ", ", w,
                      " and ", targets);
}

/// The same, dvalues (M, 2), the kept logarithms of the sums (M), and the slope (M, d) or none.
template <class T, class D>
void check_token_loss_backward(const char* where, const Tensor<T, D>& dvalues, const Tensor<T, D>& h,
                               const Shape& w, const Shape& targets, const TokenLoss<T, D>& kept) {
  check_token_loss(where, h.shape(), w, targets);
  require<ShapeError>(dvalues.shape() == Shape{h.dim(0), 2}, where, ": expected (", h.dim(0),
                      ", 2) derivatives, got ", dvalues.shape());
  require<ShapeError>(kept.log_sum.shape() == targets, where, ": expected sums of ", h.dim(0), " rows, got ",
                      kept.log_sum.shape());
  if (kept.slope) require_same_shape(where, kept.slope, h);
}

}  // namespace detail
}  // namespace loru::inline LORU_ISA
