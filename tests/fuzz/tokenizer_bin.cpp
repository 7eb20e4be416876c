// llama2.c's tokenizer.bin.

#include <loru/data/tokenizers/tokenizers.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto tokenizer = loru::data::read_llama2c_tokenizer(bytes, "fuzz");
  tokenizer.decode(tokenizer.encode("Some text, 12 caf\xc3\xa9 \xff"));
}
