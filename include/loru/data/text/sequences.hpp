#pragma once
// Texts as sequences of tokens.

#include <loru/core/compiled.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/text/corpus.hpp>
#include <loru/data/text/options.hpp>
#include <loru/data/tokenizers/tokenizer.hpp>

namespace loru::inline LORU_ISA::data {

/// The sequences of a corpus, each text put into the template.
///
///   label   a text is a sequence with the text's class: the tokens that stand before a text, its first
///           ones, those that stand after it, at most `length` in all
///   next    a text's tokens t0, t1, … are cut into pieces of `length`; the target of each token is the one
///           after it, so that each token but the first is a target once. The last piece may be shorter
///
/// Throws ConfigError for a template without {text}, DataError for an empty text, for one without a next
/// token, and for texts without classes where the target is the class.
LORU_INLINE Dataset sequences(const Corpus& corpus, const Tokenizer& tokenizer, const TextOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/text/sequences_bodies.hpp>
#endif
