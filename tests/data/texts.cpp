#include <loru/data/text/text.hpp>

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <loru/data/partition/partition.hpp>
#include <loru/data/select.hpp>
#include <loru/data/tokenizers/characters.hpp>
#include <loru/data/tokenizers/load_tokenizer.hpp>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;
using loru_test::text;

namespace {

const data::Path small_bert = LORU_SOURCE_DIR "/tests/golden/tokenizers/word_piece.json";

std::vector<std::int32_t> tokens_of(const data::Dataset& set, Index i) {
  const auto& all = std::get<std::vector<std::int32_t>>(set.features);
  const auto at = [&](Index k) { return all.begin() + set.starts[static_cast<std::size_t>(k)]; };
  return {at(i), at(i + 1)};
}

std::vector<std::int32_t> targets_of(const data::Dataset& set, Index i) {
  const auto& all = std::get<data::TokenLabels>(set.targets).values;
  const auto at = [&](Index k) { return all.begin() + set.starts[static_cast<std::size_t>(k)]; };
  return {at(i), at(i + 1)};
}

/// A play of speakers A, B, C, D with 30, 20, 30 and 40 bytes.
const std::string play =
    "A:\nfirst words\n\nB:\n0123456789012345678\n\nA:\nand two\nlines "
    "more\n\nC:\n01234567890123456789012345678\n\n"
    "D:\n012345678901234567890123456789012345678\n";

}  // namespace

TEST_CASE("texts: sequences with a class") {
  const auto tokenizer = data::load_tokenizer(small_bert);
  const data::Corpus corpus{"c", {"ba", "ba co du fe ing un re"}, {1, 0}, 2, {4, 7}};
  const data::Dataset set = data::sequences(corpus, tokenizer, {.length = 6, .pattern = "lo {text} mi"});
  CHECK(set.size() == 2);
  CHECK(set.classes == 2);
  CHECK(set.vocabulary == tokenizer.size());
  CHECK(set.labels() == data::Labels{1, 0});
  CHECK(set.groups == std::vector<std::int32_t>{4, 7});
  const auto whole = tokens_of(set, 0);
  CHECK(tokenizer.decode(whole, true) == "[CLS] lo ba mi [SEP]");
  const auto cut = tokens_of(set, 1);
  CHECK(cut.size() == 6);
  CHECK(tokenizer.decode(cut, true) == "[CLS] lo ba co du [SEP]");
}

TEST_CASE("texts: sequences with the next token of each") {
  const data::Tokenizer tokenizer{data::Characters{"abcdefghij"}};
  const data::Corpus corpus{"c", {"abcdefghij", "ab", "abcdef"}, {}, 0, {0, 1, 2}};
  const data::Dataset set =
      data::sequences(corpus, tokenizer, {.length = 4, .target = data::TextTarget::next});
  CHECK(set.size() == 3 + 1 + 2);
  CHECK(set.classes == tokenizer.size());
  CHECK(set.groups == std::vector<std::int32_t>{0, 0, 0, 1, 2, 2});
  CHECK(tokens_of(set, 0) == std::vector<std::int32_t>{1, 2, 3, 4});
  CHECK(targets_of(set, 0) == std::vector<std::int32_t>{2, 3, 4, 5});
  CHECK(tokens_of(set, 2) == std::vector<std::int32_t>{9});
  CHECK(targets_of(set, 2) == std::vector<std::int32_t>{10});
  CHECK(tokens_of(set, 3) == std::vector<std::int32_t>{1});
  CHECK(tokens_of(set, 5) == std::vector<std::int32_t>{5});
  const std::vector<Index> chosen{2, 0};
  const data::Dataset part = data::select(set, chosen);
  CHECK(part.vocabulary == set.vocabulary);
  CHECK(targets_of(part, 0) == std::vector<std::int32_t>{10});
}

TEST_CASE("texts: what cannot become a sequence") {
  const data::Tokenizer tokenizer{data::Characters{"ab"}};
  const auto make = [&](const data::Corpus& corpus, const data::TextOptions& options) {
    return data::sequences(corpus, tokenizer, options);
  };
  const data::TextOptions next{.target = data::TextTarget::next};
  CHECK_THROWS_WITH(make({"c", {"ab"}}, {}),
                    "c: expected texts with classes for text.target = \"label\", got none");
  CHECK_THROWS_WITH(make({"c", {"ab", ""}}, next), "c: text 1: expected a text, got an empty one");
  CHECK_THROWS_WITH(make({"c", {"a"}}, next), "c: text 0: expected at least two tokens, got 1");
  CHECK_THROWS_WITH(make({"c", {"ab"}}, {.pattern = "text", .target = data::TextTarget::next}),
                    "text.template: expected {text} once, got \"text\"");
  CHECK_THROWS_WITH(make({"c", {"ab"}}, {.pattern = "{text}{text}", .target = data::TextTarget::next}),
                    ContainsSubstring("expected {text} once"));
  data::Dataset set = make({"c", {"ab"}}, next);
  set.vocabulary = 1;
  CHECK_THROWS_WITH(set.check(), "c: token 0: expected an id in [0, 1), got 1");
}

TEST_CASE("texts: SST-2's files") {
  const loru_test::Folder folder;
  folder.write("sst2/stsa.binary.train", text("1 a good film\n0 a bad one\n1 good\n"));
  folder.write("sst2/stsa.binary.dev", text("0 bad\n"));
  folder.write("sst2/stsa.binary.test", text("1 film\r\n0 one\n"));
  const auto corpus = data::sst2_texts(folder.path);
  CHECK(corpus.train.texts == std::vector<std::string>{"a good film", "a bad one", "good"});
  CHECK(corpus.train.labels == data::Labels{1, 0, 1});
  CHECK(corpus.validation.texts.size() == 1);
  CHECK(corpus.validation.classes == 2);
  CHECK(corpus.test.texts == std::vector<std::string>{"film", "one"});
  const auto split = data::load({.name = "sst2", .dir = folder.path, .text = {.tokenizer = small_bert}});
  CHECK(split.train.size() == 3);
  CHECK(split.validation.size() == 1);
  CHECK(split.test.size() == 2);
  CHECK(data::iid(split.train, {.clients = 3}).clients() == 3);

  for (const char* line : {"2 text", "text", "1", "1 ", "-1 x", "1x y"}) {
    folder.write("sst2/stsa.binary.test", text("1 film\n" + std::string(line) + "\n"));
    CHECK_THROWS_WITH(
        data::sst2_texts(folder.path),
        ContainsSubstring("stsa.binary.test: line 2: expected a class in [0, 2), a blank and a text"));
  }
  std::filesystem::remove(folder.path / "sst2/stsa.binary.test");
  CHECK_THROWS_WITH(data::sst2_texts(folder.path), ContainsSubstring("get it with `./dev data sst2`"));
}

TEST_CASE("texts: Banking77's files") {
  const loru_test::Folder folder;
  folder.write("train.csv", text("text,category\n\"Where, is it?\",lost\nHelp,card\nNow,lost\n"));
  folder.write("test.csv", text("text,category\nIs it?,card\n"));
  const auto corpus = data::banking77_texts(folder.path);
  CHECK(corpus.train.classes == 2);
  CHECK(corpus.train.labels == data::Labels{1, 0, 1});
  CHECK(corpus.train.texts[0] == "Where, is it?");
  CHECK(corpus.test.labels == data::Labels{0});
  folder.write("test.csv", text("text,category\nIs it?,other\n"));
  CHECK_THROWS_WITH(data::banking77_texts(folder.path),
                    ContainsSubstring("row 1: expected a category of train.csv, got 'other'"));
  folder.write("test.csv", text("text,class\nIs it?,card\n"));
  CHECK_THROWS_WITH(data::banking77_texts(folder.path), ContainsSubstring("expected a column 'category'"));
}

TEST_CASE("texts: a speaker of Shakespeare's is a client or held out") {
  const loru_test::Folder folder;
  folder.write("input.txt", text(play));
  const auto corpus = [&](Index speakers, std::uint64_t seed) {
    return data::shakespeare_texts(
        {.target = data::TextTarget::next, .speakers = speakers, .characters = 30, .seed = seed},
        folder.path);
  };
  const auto all = corpus(0, 1);
  CHECK(all.train.texts.size() == 3);
  CHECK(all.train.texts[0] + all.test.texts[0] == "first words\nand two\nlines more\n");
  CHECK(all.train.texts[2].size() == 32);
  CHECK(all.test.texts[2].size() == 8);

  const auto two = corpus(2, 1);
  CHECK(two.train.texts.size() == 2);
  REQUIRE(two.test.texts.size() == 1);
  CHECK(two.test.texts[0].size() == 30);
  CHECK(two.train.groups == std::vector<std::int32_t>{0, 1});
  CHECK(corpus(2, 1).test.texts == two.test.texts);
  std::set<std::string> held_out;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) held_out.insert(corpus(2, seed).test.texts[0]);
  CHECK(held_out.size() == 3);  // the choice is the seed's
  CHECK_THROWS_WITH(corpus(3, 1),
                    ContainsSubstring("text.speakers: expected less than 3, the speakers with at least "
                                      "30 bytes in "));

  const auto split =
      data::load({.name = "shakespeare",
                  .dir = folder.path,
                  .text = {.length = 8, .target = data::TextTarget::next, .speakers = 2, .characters = 30}});
  CHECK(data::natural(split.train).clients() == 2);
  CHECK(split.train.classes == split.train.vocabulary);
}

TEST_CASE("texts: one's own, a file or a folder of clients") {
  const loru_test::Folder folder;
  std::string mine(95, 'a');
  mine += "\xc3\xa9";
  mine += "bcd";
  folder.write("mine.txt", text(mine));
  folder.write("many/b.txt", text("second text"));
  folder.write("many/a.txt", text("first text"));
  folder.write("labelled", text("3 some text\n0 other\n"));
  const auto own = [&](const char* train, const char* test, data::TextTarget target) {
    return data::own_texts({.train = train, .test = test}, target, folder.path);
  };
  const auto one = own("mine.txt", "", data::TextTarget::next);
  CHECK(one.train.texts[0].size() == 90);
  CHECK(one.train.groups.empty());
  CHECK(one.train.texts[0] + one.test.texts[0] == mine);
  const auto many = own("many", "mine.txt", data::TextTarget::next);
  CHECK(many.train.texts == std::vector<std::string>{"first text", "second text"});
  CHECK(many.train.groups == std::vector<std::int32_t>{0, 1});
  const auto labelled = own("labelled", "labelled", data::TextTarget::label);
  CHECK(labelled.train.classes == 4);
  CHECK(labelled.test.labels == data::Labels{3, 0});
  CHECK_THROWS_WITH(own("labelled", "", data::TextTarget::label),
                    "text: expected a file data.test, got none");
  CHECK_THROWS_WITH(own("", "", data::TextTarget::next),
                    "text: expected a file or folder data.train, got none");
  folder.write("many/.hidden", text("no client"));
  CHECK(own("many", "mine.txt", data::TextTarget::next).train.texts.size() == 2);
  folder.write("single/a.txt", text("first text"));
  CHECK(own("single", "mine.txt", data::TextTarget::next).train.groups == std::vector<std::int32_t>{0});
  folder.write("nested/a.txt", text("first text"));
  folder.write("nested/more/b.txt", text("second text"));
  CHECK_THROWS_WITH(own("nested", "mine.txt", data::TextTarget::next),
                    ContainsSubstring("nested: expected files alone, got the folder more"));
  folder.write("short.txt", text("a"));
  CHECK_THROWS_WITH(own("short.txt", "", data::TextTarget::next),
                    ContainsSubstring("short.txt: text 0: expected one long enough to test on its end, got 1 "
                                      "bytes"));
  folder.write("many/c.txt", {});
  CHECK_THROWS_WITH(own("many", "mine.txt", data::TextTarget::next),
                    ContainsSubstring("c.txt: expected a text, got an empty file"));
}

TEST_CASE("texts: a file whose characters are the tokens") {
  const loru_test::Folder folder;
  folder.write("characters.txt", text("b\xc3\xa9"
                                      "a\nb"));
  const data::Tokenizer tokenizer = data::load_tokenizer(folder.path / "characters.txt");
  CHECK(tokenizer.size() == 5);  // with that for all others
  CHECK(tokenizer.encode("ab\xc3\xa9\nc") == std::vector<data::TokenId>{2, 3, 4, 1, 0});
}

TEST_CASE("texts: no character is cut where a text is") {
  const loru_test::Folder folder;
  std::string accents;
  for (int i = 0; i < 20; ++i) accents += "\xc3\xa9";
  folder.write("input.txt", text("A:\n" + accents + "\n\nB:\n" + accents + "x\n"));
  const auto corpus = data::shakespeare_texts({.speakers = 1, .characters = 31}, folder.path);
  CHECK(corpus.test.texts[0].size() == 30);
}

TEST_CASE("texts: published models are found by name") {
  const loru_test::Folder folder;
  folder.write("data/minilm/model.safetensors", text("x"));
  folder.write("data/minilm/tokenizer.json", text("x"));
  folder.write("data/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", text("x"));
  const loru_test::Variable none{"LORU_DATA_DIR", nullptr};
  CHECK(data::locate_model("minilm") == data::Path("data/minilm"));
  CHECK(data::locate_tokenizer("minilm") == data::Path("data/minilm/tokenizer.json"));
  CHECK(data::locate_model("smollm2") == data::Path("data/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"));
  CHECK(data::locate_model("other/file.gguf") == data::Path("other/file.gguf"));
  CHECK_THROWS_WITH(data::locate_model("stories260k"), ContainsSubstring("stories260k: data set not found"));
  folder.write("data/stories260k/stories260K.bin.gz", text("x"));  // which a model's reader does not unpack
  CHECK_THROWS_WITH(data::locate_model("stories260k"),
                    ContainsSubstring("expected stories260K.bin in one of: "));
}
