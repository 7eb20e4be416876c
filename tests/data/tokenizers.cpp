// Tokenizers against what the package `tokenizers` and llama2.c's order give
// (tests/golden/tokenizers/generate.py).

#include <loru/data/tokenizers/tokenizers.hpp>

#include <cstdlib>
#include <cstring>
#include <optional>

#include <loru/data/file.hpp>
#include <loru/data/tokenizers/detail/bert_text.hpp>
#include <loru/data/tokenizers/detail/gpt2_text.hpp>
#include <loru/data/tokenizers/detail/merge.hpp>
#include <loru/io/detail/byte_reader.hpp>
#include <loru/io/safetensors.hpp>

#include "data/files.hpp"
#include "support/catch.hpp"
#include "support/gguf_file.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

const std::string folder = LORU_SOURCE_DIR "/tests/golden/tokenizers/";

const io::Archive& golden() {
  static const data::Content file = data::read_content(folder + "texts.safetensors.gz");
  static const io::Archive archive = io::borrow(std::as_bytes(std::span(file.bytes)), "texts.safetensors.gz");
  return archive;
}

/// Item i of a list that stands as one tensor with the starts of its items.
template <class V>
std::vector<V> item(const std::string& name, std::size_t i) {
  const io::RawTensor &all = golden().raw(name), &starts = golden().raw(name + ".starts");
  std::int64_t range[2];
  std::memcpy(range, starts.bytes.data() + i * sizeof(std::int64_t), sizeof range);
  std::vector<V> out(static_cast<std::size_t>(range[1] - range[0]));
  if (!out.empty())
    std::memcpy(out.data(), all.bytes.data() + static_cast<std::size_t>(range[0]) * sizeof(V),
                out.size() * sizeof(V));
  return out;
}

std::string text_item(const std::string& name, std::size_t i) {
  const auto bytes = item<char>(name, i);
  return {bytes.begin(), bytes.end()};
}

/// All texts give the golden ids, and these the golden texts.
void check_against_golden(const std::string& name, const data::Tokenizer& tokenizer) {
  const auto count = static_cast<std::size_t>(golden().raw("texts.starts").shape[0]) - 1;
  REQUIRE(count == 2000);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count && wrong < 5; ++i) {
    const std::string text = text_item("texts", i);
    const auto ids = item<data::TokenId>(name + ".ids", i);
    const bool same =
        tokenizer.encode(text) == ids && tokenizer.decode(ids) == text_item(name + ".decoded", i);
    wrong += same ? 0 : 1;
    if (!same) {
      INFO("text " << i << ": " << text);
      CHECK(tokenizer.encode(text) == ids);
      CHECK(tokenizer.decode(ids) == text_item(name + ".decoded", i));
    }
  }
  CHECK(wrong == 0);
}

/// A file of a published model, where `./dev data NAME` has put it.
std::optional<data::Path> published(const std::string& name, const std::string& file) {
  const data::FileSet set{name, {file}, {}, {}, ""};
  const data::Path own[] = {data::Path(LORU_SOURCE_DIR) / "data"};
  for (const data::Path& place : data::search_path(set, {}, own))
    if (std::filesystem::exists(place / file)) return place / file;
  return std::nullopt;
}

std::string error_of(const std::string& json) {
  try {
    static_cast<void>(data::tokenizer_of(io::parse_json(json, "t.json"), "t.json"));
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

/// The committed tokenizer with one text in place of another, each occurring in the file.
std::string changed(const std::string& file, const std::string& from, const std::string& to) {
  std::string json = io::read_text(folder + file);
  const std::size_t at = json.find(from);
  REQUIRE(at != json.npos);
  return json.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("tokenizers: 2,000 texts of all scripts as the package has them") {
  for (const std::string name : {"word_piece", "byte_pairs", "byte_pairs_odd"}) {
    INFO(name);
    check_against_golden(name, data::load_tokenizer(folder + name + ".json"));
  }
  check_against_golden("sentence_piece", data::load_tokenizer(folder + "sentence_piece.bin"));
}

TEST_CASE("tokenizers: the same by MiniLM's, SmolLM2's and a story teller's own") {
  const auto minilm = published("minilm", "tokenizer.json");
  const auto smollm2 = published("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
  const auto stories = published("stories260k", "tok512.bin");
  if (minilm) check_against_golden("minilm", data::load_tokenizer(minilm->parent_path()));
  if (smollm2) check_against_golden("smollm2", data::load_tokenizer(*smollm2));
  if (stories) check_against_golden("stories", data::load_tokenizer(*stories));
  if (!minilm || !smollm2 || !stories)
    LORU_SKIP("not all of minilm, smollm2 and stories260k are on this machine");
}

TEST_CASE("tokenizers: what stands around a text") {
  const auto bert = data::load_tokenizer(folder + "word_piece.json");
  const data::SpecialIds& special = bert.special();
  CHECK(special.before == std::vector<data::TokenId>{2});
  CHECK(special.after == std::vector<data::TokenId>{3});
  CHECK(special.padding == 0);
  CHECK(special.unknown == 1);
  CHECK(special.mask == 4);
  const std::vector<data::TokenId> ids{10, 11, 12, 13};
  CHECK(data::framed(bert, ids, 4) == std::vector<data::TokenId>{2, 10, 11, 3});
  CHECK(data::framed(bert, ids, 9) == std::vector<data::TokenId>{2, 10, 11, 12, 13, 3});
  CHECK_THROWS_WITH(data::framed(bert, ids, 2),
                    "text.length: expected more than 2, the tokens around a text, got 2");
  CHECK(bert.decode(bert.encode("[CLS] ba")) == "ba");
  CHECK(bert.decode(bert.encode("[CLS] ba"), true) == "[CLS] ba");

  const auto odd = data::load_tokenizer(folder + "byte_pairs_odd.json");
  CHECK(odd.special().before == std::vector<data::TokenId>{1});
  CHECK(odd.special().after == std::vector<data::TokenId>{2});
  CHECK(data::load_tokenizer(folder + "sentence_piece.bin").special().before ==
        std::vector<data::TokenId>{1});
  CHECK(data::load_tokenizer(folder + "byte_pairs.json").special().before.empty());
}

TEST_CASE("tokenizers: an id that is none") {
  for (const char* file : {"word_piece.json", "byte_pairs.json", "sentence_piece.bin"}) {
    const auto tokenizer = data::load_tokenizer(folder + file);
    const std::string expected =
        concat("tokenizer: decode: expected ids in [0, ", tokenizer.size(), "), got ");
    CHECK_THROWS_WITH(
        tokenizer.decode(std::vector<data::TokenId>{0, static_cast<data::TokenId>(tokenizer.size())}),
        ContainsSubstring(expected));
    CHECK_THROWS_WITH(tokenizer.decode(std::vector<data::TokenId>{-1}), ContainsSubstring(expected + "-1"));
  }
}

TEST_CASE("tokenizers: characters") {
  const data::Characters characters{"hello"};
  CHECK(characters.size() == 5);
  CHECK(characters.encode("hole\xff!") == std::vector<data::TokenId>{2, 4, 3, 1, 0, 0});
  CHECK(characters.decode(characters.encode("hello")) == "hello");
}

TEST_CASE("tokenizers: each beginning of a sequence of UTF-8 is one replacement") {
  const auto valid = [](std::string_view text) { return data::detail::valid_utf8(text); };
  const std::string r = "\xEF\xBF\xBD";
  CHECK(valid("a\xff z") == "a" + r + " z");
  CHECK(valid("\xe2\x82") == r);  // two bytes of three
  CHECK(valid("\xe2\x82x") == r + "x");
  CHECK(valid("\xf0\x9f\x98\xe9") == r + r);  // three of four, then one of three
  CHECK(valid("\xed\xa0\x80") == r + r + r);  // a surrogate
  CHECK(valid("\xc0\x80") == r + r);          // a longer form
  CHECK(valid("\xf4\x90\x80\x80") == r + r + r + r);
  CHECK(valid("\xf0\x9f\x98\x80\xc3\xa9") == "\xf0\x9f\x98\x80\xc3\xa9");
}

TEST_CASE("tokenizers: neighbours are merged in the order of costs, the leftmost of equals first") {
  // Against all neighbours looked through anew for each merge.
  const auto join = [](data::TokenId a, data::TokenId b) -> std::optional<data::detail::Join> {
    if ((a * 7 + b * 5) % 4 == 0 || a + b > 60) return std::nullopt;
    return data::detail::Join{static_cast<double>((a * 3 + b) % 5), a + b};
  };
  std::uint32_t state = 1;
  for (int round = 0; round < 200; ++round) {
    std::vector<data::TokenId> ids;
    for (int i = 0; i < round % 40; ++i)
      ids.push_back(static_cast<data::TokenId>((state = state * 1664525u + 1013904223u) >> 28));
    std::vector<data::TokenId> plain = ids;
    for (;;) {
      std::optional<data::detail::Join> best;
      std::size_t place = 0;
      for (std::size_t i = 0; i + 1 < plain.size(); ++i)
        if (const auto joined = join(plain[i], plain[i + 1]); joined && (!best || joined->cost < best->cost))
          best = joined, place = i;
      if (!best) break;
      plain[place] = best->id;
      plain.erase(plain.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
    CHECK(data::detail::merge_neighbours(ids, join) == plain);
  }
}

TEST_CASE("tokenizers: a long word takes no quadratic time") {
  const auto tokenizer = data::load_tokenizer(folder + "byte_pairs.json");
  CHECK(tokenizer.decode(tokenizer.encode(std::string(300'000, 'a'))) == std::string(300'000, 'a'));
  CHECK(data::load_tokenizer(folder + "word_piece.json").encode(std::string(300'000, 'a')) ==
        std::vector<data::TokenId>{1});
}

TEST_CASE("tokenizers: files that are not known, in one line") {
  const auto word_piece = [](const char* from, const char* to) {
    return error_of(changed("word_piece.json", from, to));
  };
  const auto byte_pairs = [](const char* from, const char* to) {
    return error_of(changed("byte_pairs.json", from, to));
  };
  CHECK(error_of("[]") == "t.json: expected an object, got an array");
  CHECK(error_of("{}") == "t.json: expected a member 'model', got none");
  CHECK(word_piece(R"("type":"WordPiece","unk_token")", R"("type":"Unigram","unk_token")") ==
        "t.json: model.type: expected WordPiece or BPE, got Unigram");
  CHECK(word_piece("BertNormalizer", "NFKC") ==
        "t.json: normalizer.type: expected \"BertNormalizer\", got \"NFKC\"");
  CHECK(word_piece(R"("unk_token":"[UNK]")", R"("unk_token":"[NONE]")") ==
        "t.json: expected the unknown token '[NONE]' in the vocabulary, got none");
  CHECK(word_piece(R"("[PAD]":0)", R"("[PAD]":-1)") ==
        "t.json: model.vocab: expected a whole number in 0 .. 2147483647, got -1");
  CHECK(word_piece(R"("[PAD]":0)", R"("[PAD]":4000000)") ==
        "t.json: model.vocab: expected ids 0, 1, 2 and so on, each for one token, with 702 next, got 4000000 "
        "for "
        "'[PAD]'");
  CHECK(word_piece(R"("single_word":false)", R"("single_word":true)") ==
        "t.json: added_tokens.single_word: expected false, got true");
  CHECK_THAT(word_piece(R"("ids":[2])", R"("ids":[9999])"),
             ContainsSubstring("t.json: post_processor.special_tokens.[CLS].ids: expected a whole number in "
                               "0 .. 701, got 9999"));
  CHECK(byte_pairs(R"("byte_fallback":false)", R"("byte_fallback":true)") ==
        "t.json: model.byte_fallback: expected false, got true");
  CHECK(byte_pairs(R"("individual_digits":true)", R"("individual_digits":false)") ==
        "t.json: pre_tokenizer.pretokenizers.individual_digits: expected true, got false");
  CHECK(byte_pairs(R"("normalizer":null)", R"("normalizer":{"type":"NFC"})") ==
        "t.json: normalizer: expected null, got an object");
  CHECK_THAT(byte_pairs(R"("merges":[[)", R"("merges":[["zzz","a"],[)"),
             ContainsSubstring("merge 0: expected tokens of the vocabulary, got 'zzz'"));
  CHECK_THAT(byte_pairs(R"("merges":[[)", R"("merges":["zzz",[)"),
             ContainsSubstring("expected two tokens with a blank between them, got 'zzz'"));
  const loru_test::Folder here;
  CHECK_THROWS_WITH(data::load_tokenizer(here.write("x.vocabulary", {})),
                    ContainsSubstring("expected a file .json, .gguf"));
}

TEST_CASE("tokenizers: llama2.c's file is not trusted") {
  std::vector<std::byte> bytes = io::read_file(folder + "sentence_piece.bin");
  const auto error = [](std::vector<std::byte> content) {
    try {
      static_cast<void>(data::read_llama2c_tokenizer(content, "t.bin"));
    } catch (const DataError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK(error({}) == "t.bin: byte 0: expected 4 bytes of the longest token's length, got 0");
  auto cut = bytes;
  cut.pop_back();
  CHECK_THAT(error(cut), ContainsSubstring("expected") && ContainsSubstring("bytes of a token, got"));
  auto longer = bytes;
  const std::int32_t size = -5;
  std::memcpy(longer.data() + 8, &size, 4);
  CHECK_THAT(error(longer), ContainsSubstring("expected a length of at least 0, got -5"));
  auto infinite = bytes;
  const float score = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(infinite.data() + 4, &score, 4);
  CHECK_THAT(error(infinite), ContainsSubstring("token 0: expected a finite score, got nan"));
  bytes.resize(4 + 3 * 8 + 5 + 5 + 6);
  CHECK_THAT(error(bytes), ContainsSubstring("expected a token <0x00>, got none"));
}

TEST_CASE("tokenizers: from GGUF's metadata") {
  loru_test::GgufFile file;
  const auto json = io::load_json(folder + "byte_pairs.json");
  const io::JsonPlace model = io::JsonPlace(json, "byte_pairs.json")["model"];
  std::vector<std::string> tokens(model["vocab"].object().size()), merges;
  for (const auto& [token, id] : model["vocab"].object())
    tokens[static_cast<std::size_t>(std::get<std::int64_t>(id.value))] = token;
  for (const io::Json& pair : model["merges"].array()) {
    const auto& both = std::get<io::Json::Array>(pair.value);
    merges.push_back(std::get<std::string>(both[0].value) + " " + std::get<std::string>(both[1].value));
  }
  std::vector<std::int32_t> types(tokens.size(), 1);
  types[0] = types[1] = types[2] = 3;
  file.text("tokenizer.ggml.model", "gpt2");
  file.text("tokenizer.ggml.pre", "smollm");
  file.texts("tokenizer.ggml.tokens", tokens);
  file.texts("tokenizer.ggml.merges", merges);
  file.numbers("tokenizer.ggml.token_type", types);
  file.number("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  const auto tokenizer = data::tokenizer_of(io::Gguf::parse(file.bytes(), "t.gguf"));
  check_against_golden("byte_pairs", tokenizer);
  CHECK(tokenizer.special().end_of_text == 2);
  CHECK(tokenizer.special().before.empty());

  loru_test::GgufFile other = file;
  other.text("tokenizer.ggml.pre", "llama-bpe");
  CHECK_THROWS_WITH(data::tokenizer_of(io::Gguf::parse(other.bytes(), "t.gguf")),
                    "t.gguf: tokenizer.ggml.pre: expected gpt-2 or smollm, got llama-bpe");
  other = file;
  other.number("tokenizer.ggml.eos_token_id", std::uint32_t{60000});
  CHECK_THROWS_WITH(data::tokenizer_of(io::Gguf::parse(other.bytes(), "t.gguf")),
                    ContainsSubstring("tokenizer.ggml.eos_token_id: expected a whole number in 0 .. "));
  other = file;
  other.numbers("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 2});
  CHECK_THROWS_WITH(data::tokenizer_of(io::Gguf::parse(other.bytes(), "t.gguf")),
                    ContainsSubstring("values, one for each token, got 2"));
}

TEST_CASE("tokenizers: SentencePiece's from GGUF's metadata") {
  const auto bytes = io::read_file(folder + "sentence_piece.bin");
  io::detail::ByteReader reader{bytes, "t"};
  reader.take<std::uint32_t>("");
  std::vector<std::string> tokens;
  std::vector<float> scores;
  while (reader.left() > 0) {
    scores.push_back(reader.take<float>(""));
    std::string token = reader.take_text(static_cast<std::uint64_t>(reader.take<std::int32_t>("")), "");
    for (std::size_t at = token.find(' '); at != token.npos; at = token.find(' '))
      token.replace(at, 1, "\xE2\x96\x81");
    tokens.push_back(token);
  }
  loru_test::GgufFile file;
  file.text("tokenizer.ggml.model", "llama");
  file.texts("tokenizer.ggml.tokens", tokens);
  file.numbers("tokenizer.ggml.scores", scores);
  file.number("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  file.number("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  const auto tokenizer = data::tokenizer_of(io::Gguf::parse(file.bytes(), "t.gguf"));
  check_against_golden("sentence_piece", tokenizer);
  CHECK(tokenizer.special().before == std::vector<data::TokenId>{1});
  file.number("tokenizer.ggml.add_space_prefix", false);
  CHECK_THROWS_WITH(data::tokenizer_of(io::Gguf::parse(file.bytes(), "t.gguf")),
                    "t.gguf: tokenizer.ggml.add_space_prefix: expected true for the model llama, got false");
}
