// Federations on sequences of tokens: every algorithm trains a small BERT; a decoder is trained by the loss
// of its tokens.
#include <cstring>

#include <loru/data/partition/iid.hpp>
#include <loru/nn/freeze.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/llama.hpp>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// Sequences of 2 to 7 tokens that begin with token 1; the class is whether token 2 or 3 stands somewhere.
data::Dataset sequences(Index count, std::uint64_t seed) {
  data::Dataset set{.name = "markers", .classes = 2, .starts = {0}};
  std::vector<std::int32_t> tokens;
  data::Labels labels;
  rng::Stream stream(seed);
  for (Index i = 0; i < count; ++i) {
    const Index length = 2 + stream.below(6);
    const auto label = static_cast<std::int32_t>(stream.below(2));
    const Index marked = stream.below(length - 1);
    tokens.push_back(1);
    for (Index j = 0; j + 1 < length; ++j)
      tokens.push_back(j == marked ? 2 + label : 4 + static_cast<std::int32_t>(stream.below(8)));
    labels.push_back(label);
    set.starts.push_back(static_cast<Index>(tokens.size()));
  }
  set.features = std::move(tokens);
  set.targets = std::move(labels);
  set.check();
  return set;
}

nn::Model<float> small_bert() {
  return nn::bert<float>({.vocabulary = 12,
                          .positions = 8,
                          .width = 16,
                          .layers = 2,
                          .heads = 2,
                          .feed_forward = 32,
                          .classes = 2,
                          .seed = 3});
}

fl::ClientOptions adam_client(Index epochs) {
  fl::ClientOptions client;
  client.epochs = epochs;
  client.batch = 8;
  client.optimizer = {.kind = optim::Kind::adam, .learning_rate = 0.01};
  return client;
}

}  // namespace

TEST_CASE("Every algorithm trains a small BERT") {
  const data::Split split{sequences(160, 1), sequences(40, 2)};
  const auto parts = data::iid(split.train, {.clients = 4});
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    INFO(A::name);
    const fl::AnyAlgorithm<float> any(algorithm);
    auto model = small_bert();
    const lowrank::FactorizeOptions options{
        .rank = 4, .alpha = 8.0, .layers = {"*.attention.self.query", "*.attention.self.value"}};
    nn::train_only(model, {"classifier.*", "bert.embeddings.word_embeddings.weight", "*.self.query.weight",
                           "*.self.value.weight"});
    if (any.low_rank) any.parametrise(model, options);
    fl::Simulation<float> simulation{
        std::move(model), any, split, parts, {.cohort = 4, .client = adam_client(2), .seed = 5}};
    std::vector<double> losses;
    for (const fl::Round& round : simulation.rounds(5)) {
      losses.push_back(round.train_loss);
      CHECK(round.uplink_bytes > 0);
    }
    CHECK(losses.back() < 0.9 * losses.front());
  });
}

TEST_CASE("Bytes of a small BERT's messages are the formula's and the headers'") {
  const data::Split split{sequences(40, 1), sequences(10, 2)};
  const auto parts = data::iid(split.train, {.clients = 2});
  const auto bytes = [&](const fl::AnyAlgorithm<float>& algorithm, std::uint64_t numbers) {
    INFO(algorithm.name);
    auto model = small_bert();
    nn::train_only(model, {"classifier.*", "*.self.query.weight", "*.self.value.weight"});
    if (algorithm.low_rank)
      algorithm.parametrise(model,
                            {.rank = 4, .layers = {"*.attention.self.query", "*.attention.self.value"}});
    fl::Simulation<float> simulation{
        model, algorithm, split, parts, {.cohort = 2, .client = adam_client(1), .seed = 5, .eval_every = 0}};
    fl::Server<float> server(model, algorithm, 5);
    server.begin_round();
    std::uint64_t uplink = 0;
    for (const Index client : fl::sample_cohort(5, 1, 2, 2)) {
      auto device = model;
      const fl::Message up = fl::answer(device, server.broadcast(client), algorithm, split.train,
                                        parts.samples(client), adam_client(1));
      std::uint64_t header = 0;
      std::memcpy(&header, up.data(), sizeof header);
      CHECK(up.size() == 8 + header + numbers * sizeof(float));
      uplink += up.size();
    }
    for (const fl::Round& round : simulation.rounds(1)) CHECK(round.uplink_bytes == uplink);
  };
  // Two blocks of width n with query and value, r·(m + n) numbers each, and a classifier of two classes.
  constexpr std::uint64_t n = 16, r = 4, layers = 4, classifier = 2 * n + 2;
  bytes(fl::FedLoRA{}, layers * r * (n + n) + classifier);
  bytes(fl::FedLoRU{.tau = 1}, layers * r * (n + n) + classifier);
  bytes(fl::FFALoRA{}, layers * r * n + classifier);
  bytes(fl::FedAvg{}, layers * n * n + classifier);
}

TEST_CASE("A federation of sequences gives the same bits for any number of threads") {
  const data::Split split{sequences(80, 1), sequences(20, 2)};
  const auto run = [&](Index threads) {
    auto model = small_bert();
    nn::train_only(model, {"classifier.*"});
    lowrank::factorize(model, {.rank = 2, .layers = {"*.attention.self.query", "*.attention.self.value"}});
    fl::Simulation<float> simulation{std::move(model),
                                     fl::FedLoRU{.tau = 1},
                                     split,
                                     data::iid(split.train, {.clients = 4}),
                                     {.cohort = 3, .client = adam_client(1), .seed = 5, .threads = threads}};
    for ([[maybe_unused]] const fl::Round& round : simulation.rounds(2)) continue;
    return bits(simulation.model());
  };
  const auto one = run(1);
  CHECK((run(3) == one));
}

TEST_CASE("A decoder is trained by the losses of its tokens") {
  data::Dataset set{.name = "counting", .classes = 10, .starts = {0}};
  std::vector<std::int32_t> tokens, next;
  for (Index i = 0; i < 60; ++i) {
    const Index length = 1 + i % 6;
    for (Index j = 0; j < length; ++j) {
      tokens.push_back(static_cast<std::int32_t>((i + j) % 10));
      next.push_back(j + 1 < length ? static_cast<std::int32_t>((i + j + 1) % 10) : no_target);
    }
    set.starts.push_back(static_cast<Index>(tokens.size()));
  }
  set.features = tokens;
  set.targets = data::TokenLabels{next};
  auto model = nn::llama<float>({.vocabulary = 10,
                                 .positions = 8,
                                 .width = 12,
                                 .layers = 1,
                                 .heads = 3,
                                 .groups = 1,
                                 .feed_forward = 16,
                                 .tied = false});
  nn::train_only(model, {"lm_head.weight", "model.embed_tokens.weight"});
  lowrank::factorize(model, {.rank = 2, .layers = {"*.q_proj", "*.v_proj"}});
  const train::Task<float> task = train::make_task<float>("next_token");
  WorkerPool pool(2);
  const auto before = train::evaluate(model, set, pool, task, 7);
  const auto losses = train::fit(
      model, set, {.epochs = 30, .batch = 6, .optimizer = {.kind = optim::Kind::adam, .learning_rate = 0.02}},
      task);
  const auto after = train::evaluate(model, set, pool, task, 7);
  CHECK(before.metrics[0] == Approx(10.0).epsilon(0.3));
  CHECK(after.metrics[0] < 1.2);
  CHECK(after.metrics[1] > 0.95);
  CHECK(after.accuracy == after.metrics[1]);
  CHECK(losses.back() < 0.2);
  CHECK(train::evaluate(model, set, pool, task, 60).metrics[0] == Approx(after.metrics[0]).epsilon(1e-5));
  CHECK(train::predict(model, set, pool, task, 7).shape() == Shape{static_cast<Index>(tokens.size()), 2});

  auto mlp = nn::bert<float>({.vocabulary = 10, .width = 12, .heads = 2, .classes = 10});
  CHECK_THROWS_WITH(train::evaluate(mlp, set, pool, task, 7),
                    ContainsSubstring("next_token: expected a decoder that gives the losses of"));
  set.targets = data::Labels(60, 0);
  CHECK_THROWS_WITH(train::evaluate(model, set, pool, task, 7),
                    "next_token: counting: expected classes of tokens as targets, got classes");
}
