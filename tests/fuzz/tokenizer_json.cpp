// tokenizer.json.

#include <loru/data/tokenizers/tokenizers.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto tokenizer = loru::data::tokenizer_of(loru::io::parse_json(fuzz::text(bytes), "fuzz"), "fuzz");
  tokenizer.decode(tokenizer.encode("[CLS] Some text, 12 <|im_start|> caf\xc3\xa9 \xff"));
}
