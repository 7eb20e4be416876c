// Messages of clients and servers that nobody vouches for, and clients that do not answer.
#include "federation.hpp"
#include "mixed.hpp"

using namespace loru;
using namespace loru_test;

namespace {

constexpr std::uint64_t strangers_seed = 4;

/// A server in its first round, and the answers of its two clients.
struct Round {
  nn::Model<float> model = small_factored<float>();
  fl::Server<float> server;
  std::vector<fl::Message> broadcasts, updates;

  explicit Round(fl::ServerOptions options = {}) : server(model, fl::FedLoRA{}, strangers_seed, options) {
    server.begin_round();
    const auto parts = small_parts(2);
    for (std::size_t client = 0; client < 2; ++client) {
      auto device = model;
      broadcasts.push_back(server.broadcast(static_cast<Index>(client)));
      updates.push_back(fl::answer(device, broadcasts[client], fl::FedLoRA{}, small_data().train,
                                   parts.samples(static_cast<Index>(client)), momentum_client()));
    }
  }

  fl::Message finish() {
    for (const fl::Message& update : updates) server.receive(fl::Message(update));
    server.finish_round();
    return bits(server.model());
  }
};

/// The refusal of an update that the first client might have sent, after which the round has its result.
template <class E>
std::string refusal(const std::function<void(io::Archive&)>& change, const fl::ServerOptions& options = {}) {
  static const fl::Message expected = Round().finish();
  Round round(options);
  const std::string text = message_of<E>([&] { round.server.receive(changed(round.updates[0], change)); });
  CHECK(round.finish() == expected);
  return text;
}

std::function<void(io::Archive&)> with(const char* key, std::string value) {
  return [=](io::Archive& a) { a.metadata()[key] = value; };
}

}  // namespace

TEST_CASE("strangers: an update that is larger than any of the model is not read") {
  Round round;
  fl::Message large(round.updates[0]);
  large.resize(large.size() + 20'000);
  CHECK_THAT(message_of<DataError>([&] { round.server.receive(std::move(large)); }),
             StartsWith("server: update: expected at most "));
  CHECK_THAT(refusal<DataError>(with("note", std::string(100'000, 'x'))),
             StartsWith("server: update: expected at most "));
}

TEST_CASE("strangers: a broadcast that is larger than any for the model is not read") {
  Round round;
  auto device = round.model;
  const fl::Message before = bits(device);
  const auto parts = small_parts(2);
  const auto refused = [&](const fl::Message& broadcast) {
    return message_of<DataError>([&] {
      fl::answer(device, broadcast, fl::FedLoRA{}, small_data().train, parts.samples(0), momentum_client());
    });
  };
  const fl::Message& good = round.broadcasts[0];
  const auto large = changed(good, with("note", std::string(Index{1} << 23, 'x')));
  CHECK_THAT(refused(large), StartsWith("message: broadcast: expected at most "));
  CHECK_THAT(refused(large), EndsWith(concat(" bytes, got ", large.size())));
  CHECK(bits(device) == before);
  CHECK(fl::answer(device, changed(good, with("note", std::string(1000, 'x'))), fl::FedLoRA{},
                   small_data().train, parts.samples(0), momentum_client()) == round.updates[0]);
}

TEST_CASE("strangers: samples and losses out of range") {
  CHECK(refusal<DataError>(with("samples", "9223372036854775807")) ==
        "server: update of client 0: expected at most 536870911 samples, got 9223372036854775807");
  CHECK(refusal<DataError>(with("samples", "4611686018427387904")) ==
        "server: update of client 0: expected at most 536870911 samples, got 4611686018427387904");
  CHECK(refusal<DataError>(with("samples", "1001"), {.max_samples = 1000}) ==
        "server: update of client 0: expected at most 1000 samples, got 1001");
  CHECK(refusal<DivergedError>(with("loss", "-1e308")) ==
        "round 1, client 0: |loss|: expected at most 1e+06, got 1e+308");
  CHECK(refusal<DivergedError>(with("loss", "3.5"), {.limits = {.max_loss = 3.0}}) ==
        "round 1, client 0: |loss|: expected at most 3, got 3.5");
  CHECK(message_of<ConfigError>([] { Round round({.max_samples = Index{1} << 29}); }) ==
        "server: max_samples: expected 1 .. 536870911, got 536870912");
}

TEST_CASE("strangers: a tensor may change by so much and no more") {
  const auto bias = [](float value) {
    return [value](io::Archive& a) { a.put("fc3.bias", Tensor<float>({4}, {0, 0, value, 0})); };
  };
  CHECK_THAT(refusal<DivergedError>(bias(3e38f)),
             StartsWith("round 1, client 0: fc3.bias: change: expected at most 10000, got 3e+38"));
  CHECK_THAT(refusal<DivergedError>(bias(-1.1e4f)),
             ContainsSubstring("fc3.bias: change: expected at most 10000"));
  CHECK_THAT(refusal<DivergedError>(bias(7.0f), {.limits = {.max_norm = 6.0}}),
             ContainsSubstring("fc3.bias: change: expected at most 6, got "));
  Round round({.limits = {.max_norm = 8.0}});
  round.server.receive(changed(round.updates[0], bias(7.0f)));
}

TEST_CASE("strangers: of a tensor that was not sent in its shape the norm counts") {
  auto model = rank_four<float>();
  fl::AnyAlgorithm<float> flora(fl::FLoRA{});  // which sends no factors down
  fl::Server<float> server(model, flora, strangers_seed, {.limits = {.max_norm = 50.0}});
  server.begin_round();
  const fl::Message down = server.broadcast(0);
  CHECK_FALSE(io::borrow(down).contains("fc2.lora_B.weight"));
  const auto parts = small_parts(2);
  auto device = model;
  const fl::Message good =
      fl::answer(device, down, flora, small_data().train, parts.samples(0), momentum_client());
  const auto large = changed(good, [](io::Archive& a) {
    a.put("fc2.lora_B.weight", nn::constant<float>(a.raw("fc2.lora_B.weight").shape, 60.0f));
  });
  const auto text = message_of<DivergedError>([&] { server.receive(fl::Message(large)); });
  CHECK_THAT(text, StartsWith("round 1, client 0: fc2.lora_B.weight: norm: expected at most 50, got "));
  server.receive(fl::Message(good));
}

TEST_CASE("strangers: a client answers as itself, in its round, once") {
  Round round;
  const auto refused = [&](const fl::Message& update, std::optional<Index> from) {
    return message_of<DataError>([&] { round.server.receive(fl::Message(update), from); });
  };
  CHECK(refused(round.updates[1], 0) ==
        "server: update of client 0: expected the number of its client, got 1");
  CHECK(refused(changed(round.updates[1], with("client", "77")), 1) ==
        "server: update of client 1: expected the number of its client, got 77");
  CHECK_THAT(refused({}, 1), StartsWith("server: update of client 1: update: byte 0: expected 8 bytes"));
  CHECK_THAT(refused(changed(round.updates[0], with("note", std::string(100'000, 'x'))), 0),
             StartsWith("server: update of client 0: expected at most "));
  round.server.receive(fl::Message(round.updates[1]), 1);
  round.server.receive(fl::Message(round.updates[0]), 0);
  round.server.finish_round();
  const fl::Message finished = bits(round.server.model());
  CHECK(finished == Round().finish());
  // The round is over.
  CHECK(refused(round.updates[0], 0) ==
        "server: update of client 0: expected it before the end of round 1, got it after");
  CHECK(message_of<Error>([&] { round.server.broadcast(5); }) ==
        "server: expected begin_round() before broadcast()");
  CHECK(message_of<Error>([&] { round.server.shared_broadcast(5); }) ==
        "server: expected begin_round() before shared_broadcast()");
  CHECK_THROWS_AS(round.server.finish_round(), Error);
  round.server.begin_round();
  round.server.broadcast(0);
  CHECK(refused(round.updates[0], 0) == "server: update of client 0: expected round 2, got 1");
  CHECK(bits(round.server.model()) == finished);
}

TEST_CASE("strangers: what is refused does not make the server grow") {
  auto model = small_model<double>();
  lowrank::factorize(model, {.rank = 20, .layers = {"fc1", "fc2"}});
  const fl::AnyAlgorithm<double> algorithm(fl::HetLoRA{.gamma = 0.5});
  fl::ExpectedUpdates<double, Cpu> expected;
  fl::Update update{
      .head = {strangers_seed, 1, 3}, .samples = 1, .loss = 0.0, .state = io::Archive("update")};
  for (Index i = 0; i < 400; ++i) {  // all ranks up to 20, in either layer
    Index rank = 1 + i % 20;
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, auto& weight) {
      update.state.put(
          nn::factor_name(layer, nn::Role::down),
          Tensor<double>(lowrank::factor_shape(weight.shape(), std::exchange(rank, 1 + i / 20))));
    });
    CHECK_THROWS_AS(expected.check(update, model, algorithm, 1, {20, 20}), DataError);
  }
  CHECK(expected.kept() <= 64);
  CHECK(expected.kept() > 0);
}

TEST_CASE("strangers: hetlora gives a client that scales its factors no more than its share") {
  // Ten clients of one rank whose products have norms within a factor of two; the first sends −100 times its
  // factors. Its product is 10^4 times as large: 99.9 % of the weight by the norms alone.
  const auto share = [](double limit) {
    auto model = rank_four<double>();
    fl::Server<double> server(model, fl::HetLoRA{.norm_limit = limit}, strangers_seed);
    server.begin_round();
    const auto layer = [](nn::Model<double>& m) {
      nn::Factored<double>* found = nullptr;
      lowrank::for_each_weight<nn::Factored>(m, [&](auto&, nn::Factored<double>& f) { found = &f; });
      return found;
    };
    for (Index k = 0; k < 10; ++k) {
      server.broadcast(k);
      auto device = model;
      auto* f = layer(device);
      // Client k's product is its own corner of W: that of the mean tells its weight.
      Tensor<double> a = nn::constant<double>(f->a().shape(), 0.0),
                     b = nn::constant<double>(f->b().shape(), 0.0);
      const double scale = k == 0 ? -100.0 : 1.0;
      a.data()[k] = scale;
      b.data()[0] = scale * (1.0 + 0.1 * static_cast<double>(k));
      f->set_factors(a, b);
      server.receive(fl::update_message(device, {strangers_seed, 1, k}, 10, 1.0), k);
    }
    server.finish_round();
    return layer(server.model())->a().value().data()[0] / -100.0;
  };
  CHECK(share(10.0) < 0.6);
  CHECK(share(3.0) < 0.3);
  CHECK(share(1e9) > 0.99);
  CHECK(message_of<ConfigError>([] { fl::check(fl::HetLoRA{.norm_limit = 0.5}); }) ==
        "hetlora: norm_limit: expected a number >= 1, got 0.5");
}

TEST_CASE("strangers: epochs and steps whose number overflows are refused") {
  fl::ClientOptions client = momentum_client();
  client.epochs = std::numeric_limits<Index>::max();
  CHECK(message_of<ConfigError>([&] { fl::check(client); }) ==
        "client: epochs: expected a whole number in 1 .. 2147483648, got 9223372036854775807");
  client = momentum_client();
  client.steps = (Index{1} << 31) + 1;
  CHECK(message_of<ConfigError>([&] { fl::check(client); }) ==
        "client: steps: expected a whole number in 0 .. 2147483648, got 2147483649");
}

TEST_CASE("strangers: ranks that a client's layers cannot have") {
  auto model = small_factored<float>();
  fl::Server<float> server(model, fl::HetLoRA{}, strangers_seed, {.ranks = fl::ClientRanks({2, 1})});
  server.begin_round();
  const fl::Message good = server.broadcast(1);
  const auto parts = small_parts(2);
  auto device = model;
  const fl::Message before = bits(device);
  const auto refused = [&](const char* key, const char* ranks) {
    const auto text = message_of<DataError>([&] {
      fl::answer(device, changed(good, with(key, ranks)), fl::HetLoRA{}, small_data().train, parts.samples(1),
                 momentum_client());
    });
    CHECK(bits(device) == before);
    return text;
  };
  CHECK(refused("ranks", "1000000000") ==
        "message: metadata 'ranks': layer fc2: expected at most 256, got 1000000000");
  CHECK(refused("ranks", "257") == "message: metadata 'ranks': layer fc2: expected at most 256, got 257");
  CHECK(refused("ranks", "1,1") == "message: metadata 'ranks': expected 1 ranks, got 2");
  CHECK(refused("ranks", "") == "message: metadata 'ranks': expected 1 ranks, got 0");
  // Ranks that the layer may have, but with factors of others.
  CHECK_THAT(refused("ranks", "2"), ContainsSubstring("fc2.lora_A.weight"));
  const auto after = [&](nn::Model<float>& of) {
    return fl::answer(of, good, fl::HetLoRA{}, small_data().train, parts.samples(1), momentum_client());
  };
  auto fresh = model;
  CHECK(after(device) == after(fresh));
}

TEST_CASE("strangers: ranks above a layer's own, of an algorithm whose clients keep theirs") {
  auto model = small_factored<float>();
  fl::Server<float> server(model, fl::FLoRA{}, strangers_seed, {.ranks = fl::ClientRanks({2, 1})});
  server.begin_round();
  const fl::Message good = server.broadcast(0);
  const auto parts = small_parts(2);
  auto device = model;
  const auto answer = [&](const fl::Message& broadcast) {
    return fl::answer(device, broadcast, fl::FLoRA{}, small_data().train, parts.samples(0),
                      momentum_client());
  };
  CHECK(message_of<DataError>([&] { answer(changed(good, with("ranks", "3"))); }) ==
        "message: metadata 'ranks': layer fc2: expected at most 2, got 3");
  server.receive(answer(good), 0);
}

TEST_CASE("strangers: a broadcast that is refused leaves the client's state alone") {
  auto model = small_factored<float>();
  fl::Server<float> server(model, fl::FedLoRA{}, strangers_seed,
                           {.codecs = {.downlink = fl::Code::top_k, .keep = 0.1}});
  const auto parts = small_parts(2);
  io::Archive state("state");
  const auto turn = [&](const fl::Message& broadcast) {
    return fl::answer(model, broadcast, fl::FedLoRA{}, small_data().train, parts.samples(0),
                      momentum_client(), state);
  };
  server.begin_round();
  server.receive(turn(server.broadcast(0)));
  server.finish_round();
  server.begin_round();
  const fl::Message good = server.broadcast(0), before = io::serialise(state);
  const auto text = message_of<DataError>([&] {
    turn(changed(good, [](io::Archive& a) {
      a.metadata()["since"] = "0";
      a.put("fc1.weight", Tensor<float>({1}, {7}));
    }));
  });
  CHECK_THAT(text, ContainsSubstring("fc1.weight"));
  CHECK(io::serialise(state) == before);
  server.receive(turn(good));
}

namespace {

/// Changes the first answer of a round.
class Changes final : public fl::Executor {
 public:
  using Change = std::function<void(fl::Answer&, std::span<const fl::Job>)>;
  explicit Changes(Change change) : change_{std::move(change)} {}

  Index workers() const override { return 1; }
  void run(std::span<const fl::Job> jobs, const Work& work, const Own& own,
           const fl::Deliver& deliver) override {
    for (Index i = 0; i < std::ssize(jobs); ++i) {
      fl::Answer done = answer(jobs[static_cast<std::size_t>(i)], i, work, own);
      if (i == 0) change_(done, jobs);
      deliver(i, std::move(done));
    }
  }

 private:
  Change change_;
};

}  // namespace

TEST_CASE("strangers: an answer that is refused is counted, or ends the round") {
  struct Case {
    Changes::Change change;
    std::string reason;
  };
  const Case cases[] = {
      {[](fl::Answer& a, auto) { a.update.resize(a.update.size() - 1); }, ": update: "},
      {[](fl::Answer& a, auto jobs) {  // in the name of another client of the cohort,
         a.update = changed(a.update, with("client", std::to_string(jobs[1].number)));
       },
       ": expected the number of its client, got "},
      {[](fl::Answer& a, auto) { a.update = changed(a.update, with("client", "3000000000")); },  // of none,
       ": expected the number of its client, got 3000000000"},
      {[](fl::Answer& a, auto) {  // with more samples than any client has,
         a.update = changed(a.update, with("samples", "1000"));
       },
       ": expected at most "},
      {[](fl::Answer& a, auto) {  // a turn that finds its state or its broadcast broken
         a = {.error = std::make_exception_ptr(DataError("state: expected a tensor"))};
       },
       "state: expected a tensor"}};
  for (const Case& c : cases) {
    INFO(c.reason);
    const auto simulation = [&](fl::Diverged diverged) {
      return fl::Simulation{small_factored<float>(),
                            fl::FedLoRU{},
                            small_data(),
                            small_parts(4),
                            {.cohort = 3,
                             .client = momentum_client(),
                             .diverged = diverged,
                             .seed = strangers_seed,
                             .executor = std::make_shared<Changes>(c.change)}};
    };
    auto rejects = simulation(fl::Diverged::reject);
    const fl::Message start = bits(rejects.model());
    const fl::Round round = rejects.run_round(false);
    CHECK(round.rejected == 1);
    CHECK_THAT(round.rejection, ContainsSubstring(c.reason));
    if (c.reason.starts_with(": "))
      CHECK_THAT(round.rejection, StartsWith(concat("server: update of client ", round.cohort[0], ": ")));
    CHECK(std::isfinite(round.train_loss));
    CHECK(bits(rejects.model()) != start);
    CHECK(rejects.run_round(false).rejected == 1);
    auto stops = simulation(fl::Diverged::stop);
    CHECK_THROWS_AS(stops.run_round(false), DataError);
  }
}

TEST_CASE("strangers: clients that drop out are as clients that were never asked") {
  const auto options = [](fl::Drops drops, Index threads) {
    return fl::SimulationOptions{.cohort = 6,
                                 .client = momentum_client(),
                                 .drops = drops,
                                 .seed = strangers_seed,
                                 .threads = threads,
                                 .eval_every = 0};
  };
  const auto run = [&](fl::Drops drops, Index threads) {
    fl::Simulation simulation{small_factored<float>(), fl::FedLoRU{.tau = 2}, small_data(), small_parts(8),
                              options(drops, threads)};
    Index dropped = 0;
    for (Index i = 0; i < 6; ++i) {
      const fl::Round round = simulation.run_round(false);
      dropped += round.dropped;
      Index expected = 0;
      for (const Index client : round.cohort)
        expected += fl::fate_of(drops, strangers_seed, round.index, client) != fl::Fate::answers;
      CHECK(round.dropped == expected);
      CHECK(round.rejected == 0);
    }
    return std::pair(dropped, bits(simulation.model()));
  };
  const fl::Drops before{.before = 0.4}, after{.after = 0.4};
  const auto [dropped, model] = run(before, 1);
  CHECK((dropped > 5 && dropped < 25));
  CHECK(run(before, 3).second == model);
  CHECK(run(after, 2).second == model);  // the same clients are folded
  CHECK(run({}, 1).second != model);
}

TEST_CASE("strangers: a round with too few updates changes nothing but its number") {
  fl::Simulation simulation{
      small_factored<float>(),
      fl::FedLoRU{.tau = 1},
      small_data(),
      small_parts(4),
      {.cohort = 3, .client = momentum_client(), .drops = {.after = 1.0}, .seed = strangers_seed}};
  const fl::Message model = bits(simulation.model());
  const fl::Round round = simulation.run_round(true);
  CHECK(round.dropped == 3);
  CHECK(std::isnan(round.train_loss));
  CHECK(round.uplink_bytes == 0);
  CHECK(round.evaluated());
  CHECK(simulation.server().round() == 1);
  CHECK(simulation.server().merges() == 0);
  CHECK(bits(simulation.model()) == model);
}

TEST_CASE("strangers: a round with too few updates has no aggregation error") {
  fl::Simulation simulation{small_factored<float>(),
                            fl::FedLoRA{},
                            small_data(),
                            small_parts(4),
                            {.cohort = 2,
                             .client = momentum_client(),
                             .drops = {.after = 0.4},
                             .min_updates = 2,
                             .seed = strangers_seed,
                             .aggregation_error = true}};
  Index skipped = 0;
  for (Index i = 0; i < 12; ++i) {
    const fl::Round round = simulation.run_round(false);
    skipped += std::isnan(round.train_loss);
    CHECK(round.aggregation_error.empty() == std::isnan(round.train_loss));
  }
  CHECK((skipped > 0 && skipped < 12));
}

namespace {

/// FedAvg of which one client diverges after it has changed its model and its state.
struct OneDiverges {
  Index client = 0;
  static constexpr std::string_view name = "one_diverges";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::train>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  double train(const fl::Turn<T, D>& turn) const {
    turn.state.put("turns", Tensor<T>({1}, {1}));
    const double loss = fl::train(turn);
    if (turn.head.client != client) return loss;
    for (auto& p : turn.model.parameters()) p.value.set_value(nn::constant<T>(p.value.shape(), NAN));
    fail<DivergedError>("diverged");
  }
};

}  // namespace

TEST_CASE("strangers: the round goes on without clients that diverge or are refused") {
  const auto options = [](Index threads) {
    return fl::SimulationOptions{.cohort = 5,
                                 .client = momentum_client(),
                                 .diverged = fl::Diverged::reject,
                                 .seed = strangers_seed,
                                 .threads = threads,
                                 .eval_every = 0};
  };
  fl::Message first;
  for (const Index threads : {1, 3}) {
    fl::Simulation simulation{small_model<float>(), OneDiverges{2}, small_data(), small_parts(5),
                              options(threads)};
    for (Index i = 0; i < 3; ++i) CHECK(simulation.run_round(false).rejected == 1);
    CHECK(simulation.store().load(1).has_value());
    CHECK_FALSE(simulation.store().load(2).has_value());
    if (threads == 1) first = bits(simulation.model());
    CHECK(bits(simulation.model()) == first);
  }
  auto o = options(1);
  o.limits.max_norm = 1e-12;
  fl::Simulation refused{small_model<float>(), fl::FedAvg{}, small_data(), small_parts(5), o};
  const fl::Round round = refused.run_round(false);
  CHECK(round.rejected == 5);
  CHECK(round.uplink_bytes > 0);
  CHECK(std::isnan(round.train_loss));
}
