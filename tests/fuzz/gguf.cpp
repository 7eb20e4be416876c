// GGUF files: metadata, tensors, the weights of a LLaMA, a tokenizer.

#include <loru/data/tokenizers/load_tokenizer.hpp>
#include <loru/io/pretrained/weights.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const loru::io::Gguf file = loru::io::Gguf::parse(fuzz::copy(bytes), "fuzz");
  for (const auto& [name, tensor] : file.tensors) {
    std::vector<float> row(static_cast<std::size_t>(tensor.columns()));
    loru::decode_rows(tensor, tensor.rows() - 1, 1, row.data());
  }
  try {
    loru::data::tokenizer_of(file).encode("some text 12");
  } catch (const loru::Error&) {}
  loru::io::pretrained_of(file, {.keep_quantised = bytes.size() % 2 == 0});
}
