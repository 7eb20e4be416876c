// Puts texts through a tokenizer, for comparisons with other programs.
//
//   tokenize TOKENIZER < texts
//   tokenize --normalise | --words | --pieces < texts
//
// Standard input and output are records: u32 bytes, then as many bytes. A text gives one record: its ids as
// i32, or BERT's normal form, or the words (BERT) or pieces (byte-level, digits apart) joined by U+0000.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include <loru/data/tokenizers/tokenizers.hpp>

using namespace loru;

namespace {

bool read_record(std::string& text) {
  std::uint32_t size = 0;
  if (std::fread(&size, sizeof size, 1, stdin) != 1) return false;
  text.resize(size);
  return std::fread(text.data(), 1, size, stdin) == size;
}

void write_record(const void* bytes, std::size_t size) {
  const auto count = static_cast<std::uint32_t>(size);
  std::fwrite(&count, sizeof count, 1, stdout);
  std::fwrite(bytes, 1, size, stdout);
}

std::string split(const std::string& text, bool words) {
  std::string all;
  const auto add = [&](const std::string& piece) {
    all += (all.empty() ? "" : std::string(1, '\0')) + piece;
  };
  if (words)
    data::detail::split_words(data::detail::to_characters(text),
                              [&](std::u32string_view word) { add(data::detail::to_utf8(word)); });
  else
    data::detail::split_digits(text, [&](std::string_view part) {
      data::detail::split_gpt2(part, [&](std::string_view piece) { add(std::string(piece)); });
    });
  return all;
}

void cut_texts(const std::string& how) {
  for (std::string text; read_record(text);) {
    const std::string out =
        how == "--normalise"
            ? data::detail::to_utf8(data::detail::BertNormaliser{}(data::detail::to_characters(text)))
            : split(text, how == "--words");
    write_record(out.data(), out.size());
  }
}

void encode_texts(const std::string& path) {
  const data::Tokenizer tokenizer = data::load_tokenizer(path);
  for (std::string text; read_record(text);) {
    const auto ids = tokenizer.encode(text);
    write_record(ids.data(), ids.size() * sizeof(data::TokenId));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string what = argc > 1 ? argv[1] : "";
    what.starts_with("--") ? cut_texts(what) : encode_texts(what);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
