#pragma once
// How texts become sequences of tokens.

#include <cstdint>
#include <string>

#include <loru/core/fields.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

/// What is known of a text: its class, or, for each of its tokens, the one after it.
enum class TextTarget { label, next };

/// In a configuration this is the table [text].
struct TextOptions {
  Index length = 64;
  std::string pattern = "{text}";
  TextTarget target = TextTarget::label;
  Path tokenizer = {};
  Index speakers = 64;
  Index characters = 2000;
  std::uint64_t seed = 1;  // of the choice of speakers; a configuration's is that of the run

  static constexpr auto fields() {
    using T = TextOptions;
    return Fields{
        field("length", &T::length, range::between(1, Index{1} << 24),
              "tokens of a sequence at most, those around a text among them; longer texts are cut "
              "off (label) or into pieces (next)"),
        field("template", &T::pattern, "what a model reads for a text, in place of {text}"),
        field("target", &T::target,
              words<TextTarget>({{"label", TextTarget::label}, {"next", TextTarget::next}}),
              "what is learned of a text: its class, or the next token of each"),
        field("tokenizer", &T::tokenizer,
              "tokenizer.json, a folder with one, X.gguf or llama2.c's X.bin; X.txt, whose characters "
              "are the tokens; or minilm, smollm2 or stories260k; if empty that of model.weights, "
              "else each character of the training texts is a token"),
        field("speakers", &T::speakers, range::at_least(0),
              "of shakespeare: speakers that are clients, drawn by the seed; the others are tested "
              "on. 0: all, and the last fifth of each is tested on"),
        field("characters", &T::characters, range::at_least(1),
              "of shakespeare: bytes that a speaker says at least, and that are tested on of one "
              "who is no client")};
  }
};

}  // namespace loru::inline LORU_ISA::data
