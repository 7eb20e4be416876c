#pragma once
// The sequences of a batch, as the layers of a transformer see them in a pass.

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// Tokens on device D. A task puts them into the pass; they must outlive the forward pass.
template <class D = Cpu>
struct Tokens final : PassSequences {
  Tensor<std::int32_t, D> tokens;  ///< (M), of all sequences one after the other
  /// (M) the next token of each, or no_target: a decoder then gives (M, 2) losses and hits in place of logits
  Tensor<std::int32_t, D> targets = {};
  /// Whether a decoder gives the logits of the last token of each sequence alone, (N, V).
  bool last_only = false;

  Tokens(Tensor<std::int32_t, D> all, Sequences where) : tokens{std::move(all)} { bounds = std::move(where); }
};

/// The tokens of a pass. Throws ConfigError if it has none on this device, ShapeError unless the sequences
/// cover them.
template <class D>
const Tokens<D>& tokens_of(const Pass& pass, const char* where) {
  const auto* tokens = dynamic_cast<const Tokens<D>*>(pass.sequences);
  require<ConfigError>(tokens != nullptr, where, ": expected a pass with tokens on the device ", D::name,
                       ", got none");
  loru::detail::check_sequences(where, tokens->bounds, tokens->tokens.size());
  return *tokens;
}

/// The bounds of the sequences of a pass. Throws ConfigError if it has none.
inline const Sequences& sequences_of(const Pass& pass, const char* where) {
  require<ConfigError>(pass.sequences != nullptr, where, ": expected a pass with sequences, got none");
  return pass.sequences->bounds;
}

namespace detail {

/// The position of each row in its sequence. Throws ShapeError for a sequence that goes beyond the last.
template <class D>
Tensor<std::int32_t, D> positions(const char* where, const Sequences& s, Index count) {
  const Index end = s.offset + s.longest();
  require<ShapeError>(end <= count, where, ": expected at most ", count, " tokens, got ", end);
  Tensor<std::int32_t> p(Shape{s.rows()});
  for (Index i = 0; i < s.count(); ++i)
    for (Index row = s.first(i); row < s.first(i + 1); ++row)
      p.data()[row] = static_cast<std::int32_t>(row - s.first(i) + s.offset);
  return to_device<D>(p);
}

/// The first row (or the last) of each sequence. Throws ShapeError for an empty one.
template <class D>
Tensor<std::int32_t, D> end_rows(const char* where, const Sequences& s, bool last) {
  Tensor<std::int32_t> rows(Shape{s.count()});
  for (Index i = 0; i < s.count(); ++i) {
    require<ShapeError>(s.length(i) > 0, where, ": expected at least one token in sequence ", i);
    rows.data()[i] = static_cast<std::int32_t>(last ? s.first(i + 1) - 1 : s.first(i));
  }
  return to_device<D>(rows);
}

/// Sequences of one row each.
inline Sequences single_rows(Index count) {
  Sequences s;
  for (Index i = 1; i <= count; ++i) s.starts.push_back(i);
  return s;
}

}  // namespace detail
}  // namespace loru::inline LORU_ISA::nn
