// A LLaMA whose matrices stay in the blocks of a GGUF file trains and writes as one with decoded matrices.
#include <loru/io/pretrained/pretrained.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/merge.hpp>
#include <loru/nn/freeze.hpp>
#include <loru/nn/models/llama.hpp>
#include <loru/optim/adam.hpp>
#include <loru/train/adapter_file.hpp>
#include <loru/train/generate.hpp>
#include <loru/train/model_file.hpp>
#include <loru/train/published.hpp>
#include <loru/train/tasks/next_token.hpp>

#include <unistd.h>

#include <filesystem>

#include "support/catch.hpp"
#include "support/gguf_llama.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::block_types;
using loru_test::ContainsSubstring;
using loru_test::GgufLlama;
using loru_test::same_bits;

namespace {

constexpr GgufLlama tiny{.vocabulary = 50, .width = 32, .layers = 2, .heads = 4, .groups = 2, .hidden = 64};

nn::Model<float> model_of(const GgufLlama& shape, BlockType type, bool keep, bool tied = true) {
  const auto file = io::Gguf::parse(shape.file(type, tied).bytes(), "llama.gguf");
  io::Pretrained published = io::pretrained_of(file, {.keep_quantised = keep});
  auto model = train::transformer(published.configuration, {.drawn = false});
  train::set_published(model, std::move(published));
  return model;
}

/// Frozen but for factors beside three matrices of each layer.
nn::Model<float> adapted(nn::Model<float> model, lowrank::PlanChoice plan = lowrank::PlanChoice::automatic) {
  nn::train_only(model, {});
  lowrank::factorize(
      model,
      {.rank = 4, .alpha = 8.0, .layers = {"*.q_proj", "*.v_proj", "*.down_proj"}, .plan = plan, .seed = 3});
  return model;
}

/// Sequences of 7, 1 and the other tokens, with the next ones as targets.
nn::Tokens<> tokens_of(Index count, Index vocabulary) {
  Tensor<std::int32_t> ids(Shape{count}), next(Shape{count});
  for (Index i = 0; i < count; ++i) ids.data()[i] = static_cast<std::int32_t>(i * 13 % vocabulary);
  for (Index i = 0; i < count; ++i)
    next.data()[i] = i == 6 || i == 7 || i == count - 1 ? no_target : ids.data()[i + 1];
  nn::Tokens<> tokens(ids, {{0, 7, 8, count}});
  tokens.targets = next;
  return tokens;
}

Variable<float> loss_of(nn::Model<float>& model, const nn::Tokens<>& tokens) {
  nn::Pass pass = nn::Pass::train();
  pass.sequences = &tokens;
  data::Batch<float> batch;
  batch.labels = tokens.targets;
  return train::NextToken{}.loss(model({}, pass), batch);
}

Tensor<float> logits_of(nn::Model<float>& model, nn::Tokens<> tokens) {
  tokens.targets = {};
  return model({}, nn::Pass{.sequences = &tokens}).value();
}

Index in_blocks(nn::Model<float>& model) {
  Index count = 0;
  for (const auto& p : model.parameters()) count += p.value.blocks() != nullptr;
  return count;
}

void check_same(nn::Model<float>& a, nn::Model<float>& b) {
  const auto x = a.trained_parameters(), y = b.trained_parameters();
  REQUIRE(x.size() == y.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    CAPTURE(x[i].name);
    CHECK(same_bits(x[i].value.value(), y[i].value.value()));
    CHECK(same_bits(x[i].value.gradient(), y[i].value.gradient()));
  }
}

void step(nn::Model<float>& model, optim::Adam<float>& optimizer, const nn::Tokens<>& tokens,
          std::vector<double>& losses) {
  optimizer.clear_gradients();
  const auto loss = loss_of(model, tokens);
  losses.push_back(item(loss));
  loss.backward();
  optimizer.step(1e-2);
}

std::vector<Variable<float>> variables(nn::Model<float>& model) {
  std::vector<Variable<float>> all;
  for (const auto& p : model.trained_parameters()) all.push_back(p.value);
  return all;
}

}  // namespace

TEST_CASE("blocks: a LLaMA trains with the bits of decoded weights, in each type and plan") {
  const BlockType type = GENERATE(from_range(block_types));
  const bool tied = GENERATE(true, false);
  const auto plan = GENERATE(lowrank::PlanChoice::factored, lowrank::PlanChoice::composed,
                             lowrank::PlanChoice::composed_full);
  CAPTURE(format_of(type).name, tied);
  auto kept = adapted(model_of(tiny, type, true, tied), plan),
       whole = adapted(model_of(tiny, type, false, tied), plan);
  CHECK(in_blocks(kept) == 1 + 2 * 7 + !tied);
  CHECK(in_blocks(whole) == 0);
  const nn::Tokens<> tokens = tokens_of(20, tiny.vocabulary);
  CHECK(same_bits(logits_of(kept, tokens), logits_of(whole, tokens)));
  optim::Adam<float> of_kept(variables(kept)), of_whole(variables(whole));
  std::vector<double> losses, expected;
  for (int i = 0; i < 3; ++i) {
    step(kept, of_kept, tokens, losses);
    step(whole, of_whole, tokens, expected);
    check_same(kept, whole);
  }
  CHECK(losses == expected);
  CHECK(losses[0] != losses[2]);
  CHECK(in_blocks(kept) == 1 + 2 * 7 + !tied);
  const std::vector<std::int32_t> prompt{1, 7, 3};
  CHECK(train::generate(kept, prompt, {.tokens = 20, .seed = 5}) ==
        train::generate(whole, prompt, {.tokens = 20, .seed = 5}));
}

TEST_CASE("blocks: copies share them, and what changes a weight makes it a tensor") {
  auto model = adapted(model_of(tiny, BlockType::q4_1, true)),
       whole = adapted(model_of(tiny, BlockType::q4_1, false));
  auto copy = model;
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  const auto parameter = [](nn::Model<float>& of, const std::string& name) {
    for (auto& p : of.parameters())
      if (p.name == name) return p.value;
    throw std::out_of_range(name);
  };
  CHECK(parameter(copy, query).blocks()->bytes.data() == parameter(model, query).blocks()->bytes.data());
  CHECK_THROWS_WITH(parameter(model, query).value(),
                    "value: the constant of shape (32, 32) is kept in "
                    "blocks of type Q4_1, expected a tensor");
  for (auto* m : {&copy, &whole}) {
    for (auto& p : m->trained_parameters()) fill(p.value.mutable_value(), 0.25f);
    lowrank::merge(*m, lowrank::MergeKind::keep, rng::Stream(1));
  }
  CHECK(in_blocks(copy) == 1 + 2 * 4);
  CHECK(in_blocks(model) == 1 + 2 * 7);
  CHECK(same_bits(parameter(copy, query).value(), parameter(whole, query).value()));
  nn::train_only(model, {"*.o_proj.weight"});
  const auto output = parameter(model, "model.layers.1.self_attn.o_proj.weight");
  CHECK(output.requires_grad());
  CHECK(same_bits(output.value(), parameter(whole, "model.layers.1.self_attn.o_proj.weight").value()));
}

TEST_CASE("blocks: a model file has the decoded values, and blocks that have them stay") {
  auto model = adapted(model_of(tiny, BlockType::q8_0, true)),
       whole = adapted(model_of(tiny, BlockType::q8_0, false));
  const io::Archive archive = io::to_archive(model), expected = io::to_archive(whole);
  CHECK(io::serialise(archive) == io::serialise(expected));
  auto plain = model_of(tiny, BlockType::q8_0, true);
  io::from_archive(plain, archive);
  CHECK(in_blocks(plain) == 1 + 2 * 7);
  CHECK(io::serialise(io::to_archive(plain)) == io::serialise(expected));
  for (auto& p : whole.parameters())
    if (p.name == "model.layers.0.mlp.down_proj.weight") p.value.mutable_value().data()[7] += 1.0f;
  io::from_archive(model, io::to_archive(whole));
  CHECK(in_blocks(model) == 2 * 7);
  CHECK(io::serialise(io::to_archive(model)) == io::serialise(io::to_archive(whole)));
}

TEST_CASE("blocks: an adapter sets what it saves whole, and the other weights stay") {
  auto trained = model_of(tiny, BlockType::q8_0, false), kept = model_of(tiny, BlockType::q8_0, true),
       whole = model_of(tiny, BlockType::q8_0, false);
  nn::train_only(trained, {"model.embed_tokens.weight"});
  lowrank::factorize(trained, {.rank = 2, .layers = {"*.q_proj"}});
  for (auto& p : trained.trained_parameters()) fill(p.value.mutable_value(), 0.25f);
  const io::Adapter adapter = io::to_adapter<float>(trained);
  for (auto* m : {&kept, &whole}) {
    nn::train_only(*m, {});
    io::add_adapter(*m, adapter);
  }
  CHECK(in_blocks(kept) == 2 * 7);
  CHECK(io::serialise(io::to_archive(kept)) == io::serialise(io::to_archive(whole)));
  const auto again = io::to_adapter<float>(kept, {.changed = {"model.embed_tokens.weight"}});
  CHECK(io::serialise(io::to_archive<float>(again)) == io::serialise(io::to_archive<float>(adapter)));
}

TEST_CASE("blocks: a model that was not drawn needs all its weights") {
  auto model = nn::llama<float>({.vocabulary = tiny.vocabulary,
                                 .positions = tiny.positions,
                                 .width = tiny.width,
                                 .layers = tiny.layers + 1,
                                 .heads = tiny.heads,
                                 .groups = tiny.groups,
                                 .feed_forward = tiny.hidden,
                                 .drawn = false});
  const auto file = io::Gguf::parse(tiny.file(BlockType::q8_0, true).bytes(), "llama.gguf");
  CHECK_THROWS_WITH(train::set_published(model, io::pretrained_of(file, {.keep_quantised = true})),
                    "llama.gguf: expected a tensor model.layers.2.self_attn.q_proj.weight, got none");
}

TEST_CASE("blocks: a copy of a model without values takes them") {
  const auto file = io::Gguf::parse(tiny.file(BlockType::q8_0, true).bytes(), "llama.gguf");
  const auto empty = train::transformer(io::pretrained_of(file).configuration, {.drawn = false});
  auto copy = empty;
  train::set_published(copy, io::pretrained_of(file));
  auto model = model_of(tiny, BlockType::q8_0, false);
  const nn::Tokens<> tokens = tokens_of(24, tiny.vocabulary);
  CHECK(same_bits(logits_of(copy, tokens), logits_of(model, tokens)));
}

TEST_CASE("published: a model of a file") {
  const auto path = std::filesystem::temp_directory_path() / concat("loru-published-", ::getpid(), ".gguf");
  io::write_file(path, tiny.file(BlockType::q8_0, true).bytes());
  auto kept = train::load_transformer(path, {}, {.keep_quantised = true});
  CHECK(in_blocks(kept) > 0);
  auto loaded = train::load_transformer(path);
  std::filesystem::remove(path);
  auto model = model_of(tiny, BlockType::q8_0, false);
  const nn::Tokens<> tokens = tokens_of(24, tiny.vocabulary);
  CHECK(same_bits(logits_of(loaded, tokens), logits_of(model, tokens)));
  CHECK(same_bits(logits_of(kept, tokens), logits_of(model, tokens)));
}

TEST_CASE("published: a BERT's classifier, if it is one of the data's classes") {
  const io::TransformerConfiguration c{.architecture = io::Architecture::bert,
                                       .layers = 1,
                                       .width = 4,
                                       .heads = 2,
                                       .groups = 2,
                                       .feed_forward = 6,
                                       .vocabulary = 5,
                                       .positions = 8,
                                       .types = 2,
                                       .epsilon = 1e-12};
  auto trained = train::transformer(c, {.classes = 3, .seed = 7});
  const io::Archive merged = io::merged_archive(trained);
  const auto loaded = [&](Index classes, const io::Archive& file) {
    auto model = train::transformer(c, {.classes = classes, .seed = 8});
    train::set_published(model, io::pretrained_of(file, c));
    return io::merged_archive(model);
  };
  const io::Archive again = loaded(3, merged);
  for (const std::string& name : merged.names()) {
    INFO(name);
    CHECK(same_bits(again.get<float>(name), merged.get<float>(name)));
  }
  CHECK_THROWS_WITH(
      loaded(2, merged),
      "model: tensor classifier.weight: expected shape (2, 4) for the classes of the data, got (3, 4); "
      "without the tensors classifier.* a new one is drawn");
  io::Archive more = merged;
  more.put("classifier.dense.weight", Tensor<float>{Shape{4, 4}});
  CHECK_THROWS_WITH(loaded(3, more),
                    ContainsSubstring("tensor classifier.dense.weight: expected a classifier "
                                      "of weight and bias, got this too"));
}

TEST_CASE("blocks: a step holds no decoded weight") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  constexpr GgufLlama wide{
      .vocabulary = 2000, .width = 128, .layers = 6, .heads = 4, .groups = 2, .hidden = 512};
  const nn::Tokens<> tokens = tokens_of(24, wide.vocabulary);
  const auto taken = [&](bool keep, lowrank::PlanChoice plan) {
    auto model = adapted(model_of(wide, BlockType::q4_0, keep), plan);
    memory::trim();
    const auto before = memory::statistics().system_bytes;
    const auto loss = loss_of(model, tokens);
    loss.backward();
    return memory::statistics().system_bytes - before;
  };
  // One matrix or panel at a time, and a block of the head's classes: all matrices would be 6.9 MB.
  const auto most = taken(false, lowrank::PlanChoice::factored) + 4 * std::uint64_t{512 * 128 * 4};
  CHECK(taken(true, lowrank::PlanChoice::factored) <= most);
  CHECK(taken(true, lowrank::PlanChoice::composed) <= most);
}
