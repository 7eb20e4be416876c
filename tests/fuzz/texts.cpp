// Texts of any bytes through each of the small tokenizers. What they decode is UTF-8; SentencePiece gives the
// text back. A text is no file of a stranger: its symbols and the pairs that may be joined take up to 132
// bytes for each of its bytes.

#include <cstdlib>

#include <loru/data/tokenizers/detail/utf8.hpp>
#include <loru/data/tokenizers/tokenizers.hpp>

#include "target.hpp"

namespace {

loru::data::Tokenizer load(const char* file) {
  return loru::data::load_tokenizer(std::string(LORU_SOURCE_DIR "/tests/golden/tokenizers/") + file);
}

}  // namespace

LORU_FUZZ_WITHIN(160, bytes) {
  static const loru::data::Tokenizer tokenizers[] = {load("word_piece.json"), load("byte_pairs.json"),
                                                     load("byte_pairs_odd.json"), load("sentence_piece.bin")};
  for (const auto& tokenizer : tokenizers) {
    const std::string text{fuzz::text(bytes)}, decoded = tokenizer.decode(tokenizer.encode(text));
    const bool gives_back = &tokenizer == &tokenizers[3];
    if (decoded != (gives_back ? text : loru::data::detail::valid_utf8(decoded))) std::abort();
  }
}
