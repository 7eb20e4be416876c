// How a decoder goes on with a text.
#include <loru/data/text/load.hpp>
#include <loru/data/tokenizers/load_tokenizer.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/visit.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/char_transformer.hpp>
#include <loru/nn/models/llama.hpp>
#include <loru/train/generate.hpp>
#include <loru/train/published.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;

namespace {

using Ids = std::vector<std::int32_t>;

nn::Model<double> decoder(const std::string& name) {
  auto model = name == "llama" ? nn::llama<double>({.vocabulary = 20,
                                                    .positions = 80,
                                                    .width = 24,
                                                    .layers = 2,
                                                    .heads = 6,
                                                    .groups = 2,
                                                    .feed_forward = 16,
                                                    .tied = false})
                               : nn::char_transformer<double>({.vocabulary = 20,
                                                               .positions = 80,
                                                               .width = 24,
                                                               .layers = 2,
                                                               .heads = 3,
                                                               .feed_forward = 16,
                                                               .tied = false});
  lowrank::factorize(model, {.rank = 2, .layers = {"*.q_proj", "*.v_proj"}});
  std::uint32_t number = 0;
  model.visit({.parameter = [&](const nn::TensorId&, Variable<double>& p) {
    p.set_value(scale(loru_test::gaussian<double>(p.shape(), ++number), 0.4));
  }});
  return model;
}

/// Logits of the last token, all computed anew.
Tensor<double> whole(nn::Model<double>& model, const Ids& ids) {
  Tensor<std::int32_t> tensor(Shape{static_cast<Index>(ids.size())});
  std::copy(ids.begin(), ids.end(), tensor.data());
  nn::Tokens<> tokens(tensor, {{0, tensor.size()}});
  tokens.last_only = true;
  nn::Pass pass;
  pass.sequences = &tokens;
  return model(Variable<double>(), pass).value();
}

std::int32_t likeliest(const Tensor<double>& logits) {
  return static_cast<std::int32_t>(std::max_element(logits.data(), logits.data() + logits.size()) -
                                   logits.data());
}

}  // namespace

TEST_CASE("generate: remembered keys and values give what the whole text gives") {
  auto model = decoder(GENERATE("llama", "char"));
  Ids text;  // crosses a block of 64 keys
  for (Index i = 0; i < 70; ++i) text.push_back(static_cast<std::int32_t>(i * 7 % 20));
  nn::KeyValueCache<double> cache;
  std::span<const std::int32_t> all(text);
  std::size_t read = 0;
  for (const std::size_t piece : {60u, 1u, 1u, 5u, 1u, 1u, 1u}) {
    const auto logits =
        train::detail::next_logits(model, all.subspan(read, piece), static_cast<Index>(read), cache);
    read += piece;
    CHECK(loru_test::difference(
              logits, whole(model, Ids(all.begin(), all.begin() + static_cast<Index>(read)))) < 1e-12);
  }
}

TEST_CASE("generate: at temperature 0 each token is the likeliest") {
  auto model = decoder(GENERATE("llama", "char"));
  const Ids prompt{3, 1, 4};
  Ids text = prompt;
  for (Index i = 0; i < 12; ++i) text.push_back(likeliest(whole(model, text)));
  const Ids expected(text.begin() + 3, text.end());
  CHECK(train::generate(model, prompt, {.tokens = 12, .temperature = 0.0}) == expected);
  CHECK(train::generate(model, prompt, {.tokens = 12, .top = 1}) == expected);
  // `each` sees every token, and may stop; the end token stops and is left out.
  Ids shown;
  const auto three = [&](std::int32_t token) {
    shown.push_back(token);
    return shown.size() < 3;
  };
  const Ids stopped = train::generate(model, prompt, {.tokens = 12, .temperature = 0.0}, three);
  CHECK(stopped == Ids(expected.begin(), expected.begin() + 3));
  CHECK(shown == stopped);
  const auto first = std::find(expected.begin(), expected.end(), expected[5]);
  CHECK(train::generate(model, prompt, {.tokens = 12, .temperature = 0.0, .end = expected[5]}) ==
        Ids(expected.begin(), first));
}

TEST_CASE("generate: an encoder cannot") {
  nn::Model<float> model = nn::bert<float>(
      {.vocabulary = 20, .positions = 16, .width = 8, .layers = 1, .heads = 2, .feed_forward = 8});
  CHECK_THROWS_WITH(train::generate(model, Ids{3, 1}, {.tokens = 2}),
                    "attention: expected a causal one to go on from a cache");
}

TEST_CASE("generate: a seed gives one text, seeds differ") {
  auto model = decoder("llama");
  const Ids prompt{3, 1, 4};
  const auto text = [&](std::uint64_t seed) {
    return train::generate(model, prompt, {.tokens = 30, .temperature = 1.0, .seed = seed});
  };
  CHECK(text(1) == text(1));
  CHECK(text(1) != text(2));
}

TEST_CASE("generate: tokens are drawn from the softmax") {
  const std::vector<double> z{1.0, -2.0, 0.5, std::numeric_limits<double>::quiet_NaN(), 1.5};
  const auto shares = [&](const train::GenerateOptions& o) {
    constexpr int draws = 100'000;
    std::vector<double> share(z.size());
    for (int i = 0; i < draws; ++i)
      share[static_cast<std::size_t>(train::detail::draw_token<double>(z, o, (i + 0.5) / draws))] +=
          1.0 / draws;
    return share;
  };
  const auto expected = [&](double temperature, const std::vector<bool>& in) {
    std::vector<double> p(z.size());
    double sum = 0.0;
    for (std::size_t i = 0; i < z.size(); ++i)
      if (in[i]) sum += p[i] = std::exp(z[i] / temperature);
    for (double& value : p) value /= sum;
    return p;
  };
  for (const double temperature : {0.5, 2.0}) {
    const auto all = shares({.temperature = temperature}),
               two = shares({.temperature = temperature, .top = 2});
    const auto of_all = expected(temperature, {true, true, true, false, true}),
               of_two = expected(temperature, {true, false, false, false, true});
    for (std::size_t i = 0; i < z.size(); ++i) {
      CHECK(std::abs(all[i] - of_all[i]) < 2e-5);
      CHECK(std::abs(two[i] - of_two[i]) < 2e-5);
    }
  }
  CHECK(train::detail::draw_token<double>(z, {}, 1.0 - 1e-16) == 4);
}

TEST_CASE("generate: what cannot be continued") {
  auto model = decoder("llama");
  const auto from = [&](const Ids& prompt, const train::GenerateOptions& o) {
    return train::generate(model, prompt, o);
  };
  CHECK_THROWS_WITH(from({}, {}), "generate: expected a prompt of at least one token, got none");
  CHECK_THROWS_WITH(from({3}, {.tokens = 0}), "generate: tokens: expected a whole number >= 1, got 0");
  CHECK_THROWS_WITH(from({3}, {.temperature = -1.0}),
                    "generate: temperature: expected a number >= 0, got -1");
  CHECK_THROWS_WITH(from({20}, {}), "embedding: row 20 at place 0 is outside the 20 rows of the table");
  CHECK_THROWS_WITH(from(Ids(81, 3), {}), "rotary: expected at most 80 positions, got 81");
  CHECK_THROWS_WITH(from(Ids(70, 3), {.tokens = 12}), "rotary: expected at most 80 positions, got 81");
  const std::vector<double> none{std::numeric_limits<double>::quiet_NaN()};
  CHECK_THROWS_WITH(train::detail::draw_token<double>(none, {}, 0.5), "generate: no logit is finite");
}

TEST_CASE("generate: SmolLM2 knows where Paris is") {
  const data::Path own[] = {data::Path(LORU_SOURCE_DIR) / "data"};
  data::Path weights;
  try {
    weights = data::locate_model("smollm2", own);
  } catch (const DataError&) {
    LORU_SKIP("smollm2 is not on this machine");
  }
  auto model = train::load_transformer(weights, {}, {.keep_quantised = true});
  const data::Tokenizer tokenizer = data::load_tokenizer(weights);
  const Ids said =
      train::generate(model, tokenizer.encode("The capital of France is"), {.tokens = 5, .temperature = 0.0});
  CHECK_THAT(tokenizer.decode(said), loru_test::ContainsSubstring("Paris"));
}
