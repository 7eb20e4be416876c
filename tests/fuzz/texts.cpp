// Texts of any bytes through each of the small tokenizers; what they decode is UTF-8.

#include <cstdlib>

#include <loru/data/tokenizers/tokenizers.hpp>

#include "target.hpp"

namespace {

loru::data::Tokenizer load(const char* file) {
  return loru::data::load_tokenizer(std::string(LORU_SOURCE_DIR "/tests/golden/tokenizers/") + file);
}

}  // namespace

LORU_FUZZ(bytes) {
  static const loru::data::Tokenizer tokenizers[] = {load("word_piece.json"), load("byte_pairs.json"),
                                                     load("byte_pairs_odd.json"), load("sentence_piece.bin")};
  for (const auto& tokenizer : tokenizers) {
    const auto ids = tokenizer.encode(fuzz::text(bytes));
    tokenizer.decode(ids);
    if (&tokenizer == &tokenizers[3] && tokenizer.decode(ids) != fuzz::text(bytes)) std::abort();
  }
}
