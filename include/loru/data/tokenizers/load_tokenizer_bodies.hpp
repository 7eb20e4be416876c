#pragma once
// Bodies of load_tokenizer.hpp.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/data/tokenizers/byte_pairs.hpp>
#include <loru/data/tokenizers/characters.hpp>
#include <loru/data/tokenizers/load_tokenizer.hpp>
#include <loru/data/tokenizers/sentence_piece.hpp>
#include <loru/data/tokenizers/word_piece.hpp>
#include <loru/io/detail/byte_reader.hpp>
#include <loru/io/file.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// Throws DataError unless the text is `expected`.
inline void require_text(const io::JsonPlace& place, std::string_view expected) {
  if (place.text() != expected)
    place.refuse(concat('"', expected, '"'), concat('"', place.text().substr(0, 80), '"'));
}

/// Throws DataError if a switch that changes how texts are cut has another value than the one that is known.
inline void require_flag(const io::JsonPlace& place, std::string_view key, bool expected) {
  if (place.flag_or(key, expected) != expected)
    place[key].refuse(expected ? "true" : "false", expected ? "false" : "true");
}

/// Throws DataError if a text that has to be absent or empty is there.
inline void require_none(const io::JsonPlace& place, std::string_view key) {
  if (!place.has(key)) return;
  const auto* text = std::get_if<std::string>(&place[key].value().value);
  if (!text || !text->empty()) place[key].refuse("null");
}

/// A token's id in [0, end).
inline TokenId read_id(const io::JsonPlace& place, Index end = Index{1} << 31) {
  return static_cast<TokenId>(place.whole(0, end - 1));
}

/// The tokens of `model.vocab` and of `added_tokens`, by id.
inline Vocabulary read_vocabulary(const io::JsonPlace& document, std::string_view origin) {
  const io::JsonPlace vocab = document["model"]["vocab"];
  std::vector<std::pair<Index, const std::string*>> all;
  for (const auto& [token, id] : vocab.object())
    all.emplace_back(read_id(io::JsonPlace(id, vocab.where())), &token);
  if (document.has("added_tokens")) {
    const io::JsonPlace added = document["added_tokens"];
    for (const io::Json& entry : added.array()) {
      const io::JsonPlace token(entry, added.where());
      all.emplace_back(read_id(token["id"]), &token["content"].text());
    }
  }
  std::ranges::stable_sort(all, {}, [](const auto& entry) { return entry.first; });
  std::vector<std::string> tokens;
  for (const auto& [id, token] : all) {
    const auto next = static_cast<Index>(tokens.size());
    if (id + 1 == next && tokens.back() == *token) continue;  // an added token that is in the vocabulary too
    if (id != next)
      vocab.refuse(concat("ids 0, 1, 2 and so on, each for one token, with ", next, " next"),
                   concat(id, " for '", token->substr(0, 80), "'"));
    tokens.push_back(*token);
  }
  return {std::move(tokens), origin};
}

inline std::vector<AddedToken> read_added_tokens(const io::JsonPlace& document) {
  std::vector<AddedToken> added;
  if (!document.has("added_tokens")) return added;
  const io::JsonPlace all = document["added_tokens"];
  for (const io::Json& entry : all.array()) {
    const io::JsonPlace token(entry, all.where());
    require_flag(token, "single_word", false);
    added.push_back({token["content"].text(), read_id(token["id"]), token.flag_or("special", false),
                     token.flag_or("normalized", false), token.flag_or("lstrip", false),
                     token.flag_or("rstrip", false)});
  }
  return added;
}

/// The ids of one special token of a template.
inline void read_template_token(const io::JsonPlace& processor, const std::string& name, Index size,
                                std::vector<TokenId>& ids) {
  const io::JsonPlace list = processor["special_tokens"][name]["ids"];
  for (const io::Json& id : list.array()) ids.push_back(read_id(io::JsonPlace(id, list.where()), size));
}

/// What stands around a single text: tokens of a vocabulary of that size.
inline void read_frame(const io::JsonPlace& document, Index size, SpecialIds& special) {
  if (!document.has("post_processor")) return;
  const io::JsonPlace processor = document["post_processor"];
  const std::string type = processor["type"].text();
  if (type == "ByteLevel") return;
  if (type == "BertProcessing") {
    for (auto [key, ids] : {std::pair{"cls", &special.before}, std::pair{"sep", &special.after}}) {
      const io::JsonPlace pair = processor[key];
      if (pair.array().size() != 2) pair.refuse("a token and its id");
      ids->push_back(read_id(io::JsonPlace(pair.array()[1], pair.where()), size));
    }
    return;
  }
  if (type != "TemplateProcessing")
    processor["type"].refuse("TemplateProcessing, BertProcessing or ByteLevel", type);
  bool passed = false;
  const io::JsonPlace single = processor["single"];
  for (const io::Json& entry : single.array()) {
    const io::JsonPlace piece(entry, single.where());
    if (piece.has("Sequence"))
      passed = true;
    else
      read_template_token(processor, piece["SpecialToken"]["id"].text(), size,
                          passed ? special.after : special.before);
  }
  if (!passed) single.refuse("a piece 'Sequence'", "none");
}

inline Tokenizer read_word_piece(const io::JsonPlace& document, Vocabulary vocabulary, SpecialIds special,
                                 std::string_view origin) {
  const io::JsonPlace model = document["model"], normaliser = document["normalizer"];
  require_text(normaliser["type"], "BertNormalizer");
  require_text(document["pre_tokenizer"]["type"], "BertPreTokenizer");
  WordPieceOptions options;
  options.clean = normaliser.flag_or("clean_text", true);
  options.ideographs = normaliser.flag_or("handle_chinese_chars", true);
  options.lower_case = normaliser.flag_or("lowercase", true);
  options.strip_accents = normaliser.flag_or("strip_accents", options.lower_case);
  options.unknown = model.text_or("unk_token", "[UNK]");
  options.continuation = model.text_or("continuing_subword_prefix", "##");
  options.longest_word = model.whole_or("max_input_chars_per_word", 1, 1'000'000, 100);
  if (document.has("decoder")) {
    require_text(document["decoder"]["type"], "WordPiece");
    options.tidy = document["decoder"].flag_or("cleanup", true);
  }
  special.padding = vocabulary.find("[PAD]");
  special.mask = vocabulary.find("[MASK]");
  return WordPiece{std::move(vocabulary), std::move(options), read_added_tokens(document), std::move(special),
                   origin};
}

/// The splitters that a byte-level tokenizer may have.
inline void read_byte_splitters(const io::JsonPlace& splitter, BytePairOptions& options) {
  const std::string type = splitter["type"].text();
  if (type == "Sequence") {
    const io::JsonPlace list = splitter["pretokenizers"];
    if (list.array().size() != 2)
      list.refuse("Digits, then ByteLevel", concat(list.array().size(), " splitters"));
    const io::JsonPlace digits(list.array()[0], list.where());
    require_text(digits["type"], "Digits");
    require_flag(digits, "individual_digits", true);
    if (!digits.has("individual_digits")) digits.refuse("individual_digits", "none");
    options.single_digits = true;
    return read_byte_splitters(io::JsonPlace(list.array()[1], list.where()), options);
  }
  require_text(splitter["type"], "ByteLevel");
  options.leading_blank = splitter.flag_or("add_prefix_space", true);
  options.cut = splitter.flag_or("use_regex", true);
}

inline std::pair<std::string, std::string> split_merge(const std::string& merge, std::string_view where) {
  const std::size_t blank = merge.find(' ');
  require<DataError>(blank != merge.npos && merge.find(' ', blank + 1) == merge.npos, where,
                     ": expected two tokens with a blank between them, got '", merge.substr(0, 80), "'");
  return {merge.substr(0, blank), merge.substr(blank + 1)};
}

inline std::vector<std::pair<std::string, std::string>> read_merges(const io::JsonPlace& list) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const io::Json& entry : list.array()) {
    const io::JsonPlace merge(entry, list.where());
    if (std::holds_alternative<std::string>(entry.value)) {
      merges.push_back(split_merge(merge.text(), list.where()));
      continue;
    }
    if (merge.array().size() != 2) merge.refuse("two tokens", concat(merge.array().size()));
    merges.emplace_back(io::JsonPlace(merge.array()[0], list.where()).text(),
                        io::JsonPlace(merge.array()[1], list.where()).text());
  }
  return merges;
}

inline Tokenizer read_byte_pairs(const io::JsonPlace& document, Vocabulary vocabulary, SpecialIds special,
                                 std::string_view origin) {
  const io::JsonPlace model = document["model"];
  require_none(document, "normalizer");
  require_none(model, "dropout");
  require_none(model, "continuing_subword_prefix");
  require_none(model, "end_of_word_suffix");
  require_flag(model, "byte_fallback", false);
  BytePairOptions options;
  read_byte_splitters(document["pre_tokenizer"], options);
  if (document.has("decoder")) require_text(document["decoder"]["type"], "ByteLevel");
  options.whole_words = model.flag_or("ignore_merges", false);
  options.join_unknown = model.flag_or("fuse_unk", false);
  if (model.has("unk_token")) {
    special.unknown = vocabulary.find(model["unk_token"].text());
    if (!special.unknown) model["unk_token"].refuse("a token of the vocabulary", model["unk_token"].text());
  }
  special.end_of_text = vocabulary.find("<|endoftext|>");
  return BytePairs{std::move(vocabulary),       read_merges(model["merges"]), options,
                   read_added_tokens(document), std::move(special),           origin};
}

}  // namespace detail

LORU_INLINE Tokenizer tokenizer_of(const io::Json& document, std::string_view origin) {
  const io::JsonPlace place(document, std::string(origin));
  const io::JsonPlace type = place["model"]["type"];
  const bool words = type.text() == "WordPiece";
  if (!words && type.text() != "BPE") type.refuse("WordPiece or BPE", type.text().substr(0, 80));
  Vocabulary vocabulary = detail::read_vocabulary(place, origin);
  SpecialIds special;
  detail::read_frame(place, vocabulary.size(), special);
  return words ? detail::read_word_piece(place, std::move(vocabulary), std::move(special), origin)
               : detail::read_byte_pairs(place, std::move(vocabulary), std::move(special), origin);
}

namespace detail {

/// The id under a key of GGUF's metadata, if it is there.
inline std::optional<TokenId> id_under(const io::Gguf& file, std::string_view key, Index size) {
  if (!file.has(key)) return std::nullopt;
  return static_cast<TokenId>(file.whole(key, 0, size - 1));
}

/// Kinds of tokens in GGUF.
enum class GgufToken : std::int64_t { normal = 1, unknown, control, user, unused, byte };

inline std::vector<AddedToken> added_tokens_of(const io::Gguf& file, const std::vector<std::string>& tokens) {
  std::vector<AddedToken> added;
  if (!file.has("tokenizer.ggml.token_type")) return added;
  const std::vector<std::int64_t> types = file.wholes("tokenizer.ggml.token_type");
  require<DataError>(types.size() == tokens.size(), file.origin, ": tokenizer.ggml.token_type: expected ",
                     tokens.size(), " values, one for each token, got ", types.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    const auto type = static_cast<GgufToken>(types[i]);
    if (type == GgufToken::control || type == GgufToken::user)
      added.push_back({tokens[i], static_cast<TokenId>(i), type == GgufToken::control});
  }
  return added;
}

/// SentencePiece writes a blank as U+2581.
inline std::string with_blanks(std::string_view token) {
  constexpr std::string_view blank = "\xE2\x96\x81";
  std::string out;
  while (!token.empty()) {
    const bool here = token.starts_with(blank);
    out += here ? ' ' : token.front();
    token.remove_prefix(here ? blank.size() : 1);
  }
  return out;
}

inline Tokenizer sentence_piece_of(const io::Gguf& file, std::vector<std::string> tokens,
                                   SpecialIds special) {
  for (std::string& token : tokens) token = with_blanks(token);
  std::vector<float> scores;
  for (const double score : file.numbers("tokenizer.ggml.scores"))
    scores.push_back(static_cast<float>(score));
  return SentencePiece{{std::move(tokens), file.origin}, std::move(scores), std::move(special), file.origin};
}

}  // namespace detail

LORU_INLINE Tokenizer tokenizer_of(const io::Gguf& file) {
  const std::string& model = file.text("tokenizer.ggml.model");
  require<DataError>(model == "gpt2" || model == "llama", file.origin,
                     ": tokenizer.ggml.model: expected gpt2 or llama, got ", model.substr(0, 80));
  const std::vector<std::string>& tokens = file.texts("tokenizer.ggml.tokens");
  const auto size = static_cast<Index>(tokens.size());
  SpecialIds special;
  const auto begin = detail::id_under(file, "tokenizer.ggml.bos_token_id", size);
  special.end_of_text = detail::id_under(file, "tokenizer.ggml.eos_token_id", size);
  special.padding = detail::id_under(file, "tokenizer.ggml.padding_token_id", size);
  const auto wants = [&](const char* key, bool otherwise) {
    return file.has(key) ? file.flag(key) : otherwise;
  };
  if (begin && wants("tokenizer.ggml.add_bos_token", model == "llama")) special.before = {*begin};
  if (special.end_of_text && wants("tokenizer.ggml.add_eos_token", false))
    special.after = {*special.end_of_text};
  if (model == "llama") {
    require<DataError>(wants("tokenizer.ggml.add_space_prefix", true), file.origin,
                       ": tokenizer.ggml.add_space_prefix: expected true for the model llama, got false");
    return detail::sentence_piece_of(file, tokens, std::move(special));
  }
  const std::string splitter = file.has("tokenizer.ggml.pre") ? file.text("tokenizer.ggml.pre") : "gpt-2";
  require<DataError>(splitter == "gpt-2" || splitter == "smollm", file.origin,
                     ": tokenizer.ggml.pre: expected gpt-2 or smollm, got ", splitter.substr(0, 80));
  BytePairOptions options;
  options.single_digits = splitter == "smollm";
  options.leading_blank = wants("tokenizer.ggml.add_space_prefix", false);
  std::vector<std::pair<std::string, std::string>> merges;
  for (const std::string& merge : file.texts("tokenizer.ggml.merges"))
    merges.push_back(detail::split_merge(merge, file.origin + ": tokenizer.ggml.merges"));
  std::vector<AddedToken> added = detail::added_tokens_of(file, tokens);
  return BytePairs{{tokens, file.origin}, merges, options, std::move(added), std::move(special), file.origin};
}

LORU_INLINE Tokenizer read_llama2c_tokenizer(std::span<const std::byte> bytes, std::string_view origin) {
  io::detail::ByteReader reader{bytes, origin};
  reader.take<std::uint32_t>("the longest token's length");
  std::vector<std::string> tokens;
  std::vector<float> scores;
  while (reader.left() > 0) {
    scores.push_back(reader.take<float>("a score"));
    const auto length = reader.take<std::int32_t>("a token's length");
    reader.check(length >= 0, "a length of at least 0, got ", length);
    tokens.push_back(reader.take_text(static_cast<std::uint64_t>(length), "a token"));
  }
  reader.check(tokens.size() >= 3, "at least 3 tokens (unknown, begin, end), got ", tokens.size());
  SpecialIds special;
  special.unknown = 0;
  special.before = {1};
  special.end_of_text = 2;
  return SentencePiece{{std::move(tokens), origin}, std::move(scores), std::move(special), origin};
}

LORU_INLINE Tokenizer load_tokenizer(const Path& path) {
  const Path file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  const std::string suffix = file.extension().string();
  if (suffix == ".json") return tokenizer_of(io::load_json(file), file.native());
  if (suffix == ".gguf") return tokenizer_of(io::Gguf::load(file));
  if (suffix == ".bin") return read_llama2c_tokenizer(io::read_file(file), file.native());
  if (suffix == ".txt") return Characters{io::read_text(file)};
  fail<DataError>(file.native(),
                  ": tokenizer: expected a file .json, .gguf, .bin or .txt, or a folder with tokenizer.json");
}

}  // namespace loru::inline LORU_ISA::data
