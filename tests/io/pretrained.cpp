// Published weights against what the package gguf decodes (tests/golden/pretrained/generate.py).

#include <loru/io/pretrained/pretrained.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <loru/io/file.hpp>
#include <loru/io/safetensors.hpp>

#include "support/catch.hpp"
#include "support/gguf_file.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

const std::string folder = LORU_SOURCE_DIR "/tests/golden/pretrained/";

void check_equal(const io::Archive& got, const io::Archive& expected) {
  CHECK(got.names() == expected.names());
  for (const auto& [name, raw] : expected.tensors()) {
    INFO(name);
    REQUIRE(got.contains(name));
    CHECK(got.raw(name).shape == raw.shape);
    CHECK(got.raw(name).dtype == io::DType::f32);
    REQUIRE(got.raw(name).bytes.size() == raw.bytes.size());
    CHECK(std::memcmp(got.raw(name).bytes.data(), raw.bytes.data(), raw.bytes.size()) == 0);
  }
}

/// What goes wrong when a text's change makes another file of the tiny model.
template <class F>
std::string error_of(const F& read) {
  try {
    static_cast<void>(read());
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

/// A LLaMA of one layer, width 4, 2 heads of 1 key and value head, 3 tokens.
loru_test::GgufFile one_layer() {
  loru_test::GgufFile file;
  file.text("general.architecture", "llama");
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, std::uint32_t>>{{"block_count", 1},
                                                                    {"embedding_length", 4},
                                                                    {"attention.head_count", 2},
                                                                    {"attention.head_count_kv", 1},
                                                                    {"feed_forward_length", 6},
                                                                    {"context_length", 8}})
    file.number(std::string("llama.") + key, value);
  file.number("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const auto ramp = [](std::size_t count) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
    return values;
  };
  file.floats("token_embd.weight", {4, 3}, ramp(12));
  file.floats("output_norm.weight", {4}, ramp(4));
  for (const char* norm : {"attn_norm", "ffn_norm"})
    file.floats(concat("blk.0.", norm, ".weight"), {4}, ramp(4));
  file.floats("blk.0.attn_q.weight", {4, 4}, ramp(16));
  for (const char* name : {"attn_k", "attn_v"})
    file.floats(concat("blk.0.", name, ".weight"), {4, 2}, ramp(8));
  file.floats("blk.0.attn_output.weight", {4, 4}, ramp(16));
  for (const char* name : {"ffn_gate", "ffn_up"})
    file.floats(concat("blk.0.", name, ".weight"), {4, 6}, ramp(24));
  file.floats("blk.0.ffn_down.weight", {6, 4}, ramp(24));
  return file;
}

std::string error_of(const loru_test::GgufFile& file) {
  return error_of([&] { return io::pretrained_of(io::Gguf::parse(file.bytes(), "f.gguf")); });
}

const std::string bert_json = R"({"model_type":"bert","hidden_size":4,"num_hidden_layers":1,
"num_attention_heads":2,"intermediate_size":6,"vocab_size":5,"max_position_embeddings":8,"type_vocab_size":2,
"layer_norm_eps":1e-12,"hidden_act":"gelu"})";
const std::string llama_json = R"({"model_type":"llama","hidden_size":8,"num_hidden_layers":2,
"num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":6,"vocab_size":5,
"max_position_embeddings":8,"rms_norm_eps":1e-5,"rope_theta":1e5,"tie_word_embeddings":true,
"hidden_act":"silu"})";

io::TransformerConfiguration configuration(std::string json, const std::string& from = "",
                                           const std::string& to = "") {
  if (const std::size_t at = json.find(from); !from.empty()) {
    REQUIRE(at != json.npos);
    json.replace(at, from.size(), to);
  }
  return io::configuration_of(io::parse_json(json, "config.json"), "config.json");
}

/// Tensors of the configuration's names and shapes, all 1.
io::Archive ones(const io::TransformerConfiguration& c) {
  io::Archive archive{"m.safetensors"};
  for (const auto& [name, shape] : io::tensor_shapes(c)) {
    Tensor<float> x{shape};
    std::fill(x.span().begin(), x.span().end(), 1.0f);
    archive.put(name, x);
  }
  return archive;
}

}  // namespace

TEST_CASE("pretrained: a GGUF file of every type gives the package's values under Hugging Face's names") {
  const io::Archive expected = io::load(folder + "tiny_llama.safetensors");
  const io::Pretrained got = io::load_pretrained(folder + "tiny_llama.gguf");
  check_equal(got.tensors, expected);
  const io::TransformerConfiguration& c = got.configuration;
  CHECK(c.architecture == io::Architecture::llama);
  CHECK(c.layers == 2);
  CHECK(c.width == 32);
  CHECK(c.heads == 4);
  CHECK(c.groups == 2);
  CHECK(c.feed_forward == 64);
  CHECK(c.vocabulary == 20);
  CHECK(c.positions == 16);
  CHECK(c.theta == 10000.0);
  CHECK(static_cast<float>(c.epsilon) == 1e-5f);
  CHECK_FALSE(c.tied);
}

TEST_CASE("pretrained: blocks that are kept give the same values") {
  const io::Archive expected = io::load(folder + "tiny_llama.safetensors");
  io::Pretrained got = io::load_pretrained(folder + "tiny_llama.gguf", {.keep_quantised = true});
  CHECK(got.blocks.size() == 14);  // of the 16 matrices two are F32
  for (const auto& [name, blocks] : got.blocks) {
    CHECK(blocks.type != BlockType::f32);
    CHECK_FALSE(got.tensors.contains(name));
    Tensor<float> values{blocks.shape};
    decode_rows(blocks, 0, blocks.rows(), values.data());
    got.tensors.put(name, values);
  }
  check_equal(got.tensors, expected);
}

TEST_CASE("pretrained: llama2.c's checkpoint of the same values") {
  const io::Pretrained got = io::load_pretrained(folder + "tiny_llama.bin");
  check_equal(got.tensors, io::load(folder + "tiny_llama.safetensors"));
  CHECK(got.configuration.vocabulary == 20);
  CHECK(got.configuration.groups == 2);
  CHECK_FALSE(got.configuration.tied);
  CHECK(got.configuration.epsilon == 1e-5);

  const auto bytes = io::read_file(folder + "tiny_llama.bin");
  const auto error = [&](std::size_t size, std::size_t at = 0, std::int32_t value = 0) {
    auto changed = bytes;
    changed.resize(size);
    if (at + 4 <= size && value != 0) std::memcpy(changed.data() + at, &value, 4);
    return error_of([&] { return io::read_llama2c(std::move(changed), "m.bin"); });
  };
  CHECK(error(bytes.size()) == "no error");
  CHECK(error(3) == "m.bin: byte 0: expected 4 bytes of a header, got 3");
  CHECK_THAT(error(bytes.size() - 1), ContainsSubstring("expected 2560 bytes of lm_head.weight, got 2559"));
  CHECK_THAT(error(bytes.size() + 3), ContainsSubstring("expected the end of the file, got 3 bytes more"));
  CHECK(error(bytes.size(), 0, 0x616b3432) ==
        "m.bin: byte 4: expected llama2.c's first format, got a newer one (magic ak42)");
  CHECK(error(bytes.size(), 12, 5) == "m.bin: heads: expected a divisor of the width 32, got 5");
  CHECK(error(bytes.size(), 16, 3) == "m.bin: key and value heads: expected a divisor of the 4 heads, got 3");
  CHECK(error(bytes.size(), 8, -1) == "m.bin: layers: expected a whole number in 1 .. 16777216, got -1");
  CHECK_THAT(error(bytes.size(), 20, 2'000'000'000),
             ContainsSubstring("vocabulary: expected a whole number in 1 .. "));
  CHECK_THAT(error(bytes.size(), 4, 1 << 24),
             ContainsSubstring("bytes of model.layers.0.mlp.gate_proj.weight, got"));
}

TEST_CASE("pretrained: rows of q and k come in halves of a head") {
  // Two heads of 4 rows, which a file has in the order 0 2 1 3.
  CHECK(io::interleaved_row(0, 8, 2) == 0);
  CHECK(io::interleaved_row(1, 8, 2) == 2);
  CHECK(io::interleaved_row(2, 8, 2) == 1);
  CHECK(io::interleaved_row(3, 8, 2) == 3);
  CHECK(io::interleaved_row(6, 8, 2) == 5);
  // The file that the package gguf wrote has heads of 8 (above).
}

TEST_CASE("pretrained: GGUF files of another model, in one line") {
  CHECK(error_of(one_layer()) == "no error");
  loru_test::GgufFile file = one_layer();
  file.text("general.architecture", "qwen2");
  CHECK(error_of(file) == "f.gguf: general.architecture: expected llama, got qwen2");
  file = one_layer();
  file.number("llama.block_count", std::uint32_t{2});
  CHECK(error_of(file) ==
        "f.gguf: tensor model.layers.1.input_layernorm.weight: expected shape (4), got no such tensor");
  file = one_layer();
  file.floats("rope_freqs.weight", {2}, {1, 2});
  CHECK(error_of(file) ==
        "f.gguf: tensor rope_freqs.weight: expected none of this name for the configuration, got shape (2)");
  file = one_layer();
  file.number("llama.feed_forward_length", std::uint32_t{7});
  CHECK(error_of(file) ==
        "f.gguf: tensor model.layers.0.mlp.down_proj.weight: expected shape (4, 7), got (4, 6)");
  file = one_layer();
  file.number("llama.attention.head_count", std::uint32_t{3});
  CHECK(error_of(file) == "f.gguf: heads: expected a divisor of the width 4, got 3");
  file = one_layer();
  file.number("llama.rope.dimension_count", std::uint32_t{4});
  CHECK(error_of(file) == "f.gguf: llama.rope.dimension_count: expected 2, the width over the heads, got 4");
  file = one_layer();
  file.text("llama.rope.scaling.type", "yarn");
  CHECK(error_of(file) == "f.gguf: llama.rope.scaling.type: expected none, got yarn");
  file = one_layer();
  file.floats("model.norm.weight", {4}, {1, 2, 3, 4});
  CHECK_THAT(error_of(file), ContainsSubstring("expected each tensor once, got it under two names"));
}

TEST_CASE("pretrained: config.json of BERT and LLaMA") {
  const auto bert = configuration(bert_json);
  CHECK(bert.architecture == io::Architecture::bert);
  CHECK(bert.types == 2);
  CHECK(bert.groups == 2);
  CHECK(bert.epsilon == 1e-12);
  CHECK(io::tensor_shapes(bert).size() == 7 + 16);
  CHECK(io::tensor_shapes(bert).at("bert.encoder.layer.0.intermediate.dense.weight") == Shape{6, 4});
  const auto llama = configuration(llama_json);
  CHECK(llama.architecture == io::Architecture::llama);
  CHECK(llama.theta == 1e5);
  CHECK(llama.tied);
  CHECK(io::tensor_shapes(llama).size() == 2 + 18);
  CHECK(io::tensor_shapes(llama).at("model.layers.1.self_attn.k_proj.weight") == Shape{4, 8});
  CHECK(configuration(llama_json, R"("rope_theta":1e5)",
                      R"("rope_parameters":{"rope_type":"default","rope_theta":7})")
            .theta == 7.0);

  const auto error = [](const std::string& json, const char* from, const char* to) {
    return error_of([&] { return configuration(json, from, to); });
  };
  CHECK(error(bert_json, R"("bert")", R"("gpt2")") ==
        "config.json: model_type: expected bert or llama, got gpt2");
  CHECK(error(bert_json, "gelu", "relu") == "config.json: hidden_act: expected \"gelu\", got \"relu\"");
  CHECK(error(bert_json, R"("vocab_size":5)", R"("vocab_size":5,"is_decoder":true)") ==
        "config.json: is_decoder: expected false, got true");
  CHECK(error(bert_json, R"("vocab_size":5,)", "") ==
        "config.json: expected a member 'vocab_size', got none");
  CHECK(error(llama_json, R"("rope_theta":1e5)", R"("rope_scaling":{"type":"linear"})") ==
        "config.json: rope_scaling: expected null, got an object");
  CHECK(error(llama_json, R"("rope_theta":1e5)", R"("attention_bias":true)") ==
        "config.json: attention_bias: expected false, got true");
  CHECK(error(llama_json, R"("rope_theta":1e5)", R"("head_dim":3)") ==
        "config.json: head_dim: expected 2, the width over the heads, got 3");
  CHECK(error(llama_json, R"("hidden_size":8)", R"("hidden_size":12)") ==
        "config.json: heads: expected an even number of values each, got 3");
  CHECK(error(llama_json, R"("rms_norm_eps":1e-5)", R"("rms_norm_eps":0)") ==
        "config.json: epsilon of the norms: expected a number > 0, got 0");
}

TEST_CASE("pretrained: safetensors with Hugging Face's names") {
  const auto c = configuration(bert_json);
  const io::Archive whole = ones(c);
  check_equal(io::pretrained_of(whole, c).tensors, whole);

  io::Archive bare{"m.safetensors"};  // as BertModel alone has them, with a task's tensors beside them
  for (const auto& [name, raw] : whole.tensors()) bare.put_raw(name.substr(5), raw);
  bare.put("embeddings.position_ids", Tensor<std::int64_t>{Shape{1, 8}});
  bare.put("cls.predictions.bias", Tensor<float>{Shape{5}});
  bare.put("classifier.weight", Tensor<float>{Shape{2, 4}});
  const io::Pretrained published = io::pretrained_of(bare, c);
  check_equal(published.tensors, whole);
  CHECK(published.classifier.names() == std::vector<std::string>{"classifier.weight"});
  CHECK(published.classifier.raw("classifier.weight").shape == Shape{2, 4});

  // 1.0 as a half and as the upper half of a float.
  const std::vector<std::uint16_t> half(24, 0x3C00), brain(24, 0x3F80);
  io::Archive halves = whole;
  halves.put_raw("bert.encoder.layer.0.intermediate.dense.weight",
                 {io::DType::f16, {6, 4}, std::as_bytes(std::span(half))});
  halves.put_raw("bert.encoder.layer.0.output.dense.weight",
                 {io::DType::bf16, {4, 6}, std::as_bytes(std::span(brain))});
  check_equal(io::pretrained_of(halves, c).tensors, whole);

  const auto error = [&](auto change) {
    io::Archive other = whole;
    change(other);
    return error_of([&] { return io::pretrained_of(other, c); });
  };
  const std::string name = "bert.pooler.dense.bias";
  CHECK(error([&](io::Archive& a) { a.erase(name); }) ==
        "m.safetensors: tensor bert.pooler.dense.bias: expected shape (4), got no such tensor");
  CHECK(error([&](io::Archive& a) { a.put(name, Tensor<float>{Shape{5}}); }) ==
        "m.safetensors: tensor bert.pooler.dense.bias: expected shape (4), got (5)");
  CHECK(error([&](io::Archive& a) { a.put("bert.more", Tensor<float>{Shape{5}}); }) ==
        "m.safetensors: tensor bert.more: expected none of this name for the configuration, got shape (5)");
  CHECK(error([&](io::Archive& a) { a.put(name, Tensor<double>{Shape{4}}); }) ==
        "m.safetensors: tensor bert.pooler.dense.bias: expected F32, F16 or BF16, got F64");

  const auto llama = configuration(llama_json);
  io::Archive tied = ones(llama);
  tied.put("lm_head.weight", Tensor<float>{Shape{5, 8}});
  CHECK(io::pretrained_of(tied, llama).tensors.size() == 20);
}

TEST_CASE("pretrained: a folder with shards") {
  const std::filesystem::path place =
      std::filesystem::temp_directory_path() / ("loru-shards-" + std::to_string(::getpid()));
  io::make_directories(place);
  io::write_file(place / "config.json", bert_json);
  const io::Archive whole = ones(configuration(bert_json));
  io::Archive first("first"), second("second");
  std::string map;
  for (const auto& [name, raw] : whole.tensors()) {
    const bool early = first.size() < 3;
    (early ? first : second).put_raw(name, raw);
    map += concat(map.empty() ? "" : ", ", '"', name, "\": \"", early ? "1" : "2", ".safetensors\"");
  }
  const auto save = [&](const io::Archive& a, const io::Archive& b, const std::string& entries) {
    io::save(place / "1.safetensors", a);
    io::save(place / "2.safetensors", b);
    io::write_file(place / "model.safetensors.index.json", "{\"weight_map\": {" + entries + "}}");
  };
  save(first, second, map);
  check_equal(io::load_pretrained(place).tensors, whole);
  const auto error = [&]() -> std::string {
    try {
      io::load_pretrained(place);
    } catch (const DataError& wrong) {
      return wrong.what();
    }
    return "no error";
  };
  io::Archive more = second;
  more.put("more", Tensor<float>({2}));
  save(first, more, map);
  CHECK_THAT(error(), ContainsSubstring("2.safetensors: tensor more: expected only what the index has"));
  const std::string name = first.names().front();
  io::Archive less = first;
  less.erase(name);
  save(less, second, map);
  CHECK_THAT(error(), ContainsSubstring("1.safetensors: expected a tensor named '" + name + "'"));
  save(first, second, "\"" + name + "\": \"../1.safetensors\"");
  CHECK_THAT(error(), ContainsSubstring(concat("weight_map: ", name,
                                               ": expected the name of a file beside the index, got "
                                               "\"../1.safetensors\"")));
  save(first, second, "\"" + name + "\": 1");
  CHECK_THAT(error(), ContainsSubstring("expected a string, got a whole number"));
  std::filesystem::remove_all(place);
}

TEST_CASE("pretrained: a folder as it is published") {
  const std::filesystem::path place =
      std::filesystem::temp_directory_path() / ("loru-pretrained-" + std::to_string(::getpid()));
  io::make_directories(place);
  const auto c = configuration(bert_json);
  io::write_file(place / "config.json", bert_json);
  io::save(place / "model.safetensors", ones(c));
  check_equal(io::load_pretrained(place).tensors, ones(c));
  CHECK(io::load_configuration(place).feed_forward == 6);
  std::filesystem::remove_all(place);
  CHECK_THROWS_AS(io::load_pretrained(place / "none.gguf"), IoError);
  CHECK(io::load_configuration(folder + "tiny_llama.gguf").positions == 16);
  CHECK(io::load_configuration(folder + "tiny_llama.bin").positions == 16);
  for (const auto& read : {+[] { io::load_pretrained("weights.txt"); }, +[] { io::load_configuration("w"); }})
    CHECK_THROWS_WITH(read(), ContainsSubstring("expected a file .gguf or .bin, or a folder"));
}
