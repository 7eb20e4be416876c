// Codecs: what they lose, what they cost, and that a federation over them is the same everywhere.
#include <numeric>

#include "alike.hpp"

using namespace loru;
using namespace loru_test;
using fl::Code;

namespace {

template <class T>
Tensor<T> tensor_of(std::initializer_list<T> values) {
  Tensor<T> x({static_cast<Index>(values.size())});
  std::copy(values.begin(), values.end(), x.data());
  return x;
}

template <class T>
std::vector<T> values_of(const Tensor<T>& x) {
  return {x.span().begin(), x.span().end()};
}

/// What is left of x after put_dense and get_dense.
template <class T>
std::vector<T> through(const Tensor<T>& x, Code code, rng::Stream stream = rng::Stream(1)) {
  io::Archive archive;
  fl::put_dense(archive, "x", x, code, stream);
  const io::Archive read = io::parse(io::serialise(archive));
  return values_of(fl::get_dense<T>(read, "x"));
}

}  // namespace

TEST_CASE("fp16 and bf16 round to the nearest, ties to even") {
  const auto x = tensor_of<float>({0.0f, 1.0f, -2.5f, 65504.0f, 1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 0x1p-24f});
  CHECK(through(x, Code::fp16) ==
        std::vector<float>{0.0f, 1.0f, -2.5f, 65504.0f, 1.0f, 1.0f + 0x4p-11f, 0x1p-24f});
  const auto y = tensor_of<float>({1e30f, 1.0f + 0x1p-8f, 1.0f + 0x3p-8f, -3.0f});
  CHECK(through(y, Code::bf16)[1] == 1.0f);
  CHECK(through(y, Code::bf16)[2] == 1.0f + 0x4p-8f);
  CHECK(through(y, Code::bf16)[0] == Approx(1e30).epsilon(0x1p-9));
  CHECK(through(y, Code::bf16)[3] == -3.0f);
}

TEST_CASE("int8 rounds up or down with the right chances") {
  const auto x = tensor_of<double>({1.0, -1.0, 0.3, -0.004, 0.0});
  const int draws = 4000;
  std::vector<double> sum(5);
  for (int i = 0; i < draws; ++i) {
    const auto got =
        through(x, Code::int8, rng::Stream(7, rng::Purpose::test, static_cast<std::uint32_t>(i)));
    for (std::size_t j = 0; j < got.size(); ++j) {
      REQUIRE(std::abs(got[j] - x.data()[j]) < 1.0 / 127 + 1e-12);
      sum[j] += got[j] / draws;
    }
  }
  CHECK(sum[0] == Approx(1.0));
  CHECK(sum[1] == Approx(-1.0));
  CHECK(sum[4] == 0.0);
  const double deviation = 0.5 / 127 / std::sqrt(draws);  // of the mean, at most
  CHECK(std::abs(sum[2] - 0.3) < 4 * deviation);
  CHECK(std::abs(sum[3] + 0.004) < 4 * deviation);
  CHECK(through(x, Code::int8, rng::Stream(7)) == through(x, Code::int8, rng::Stream(7)));
  CHECK(through(tensor_of<float>({0.0f, 0.0f}), Code::int8) == std::vector<float>{0.0f, 0.0f});
}

TEST_CASE("top_k: the largest in absolute value, of equal ones the first") {
  const auto x = tensor_of<float>({1.0f, -4.0f, 4.0f, 0.0f, 4.0f});
  CHECK(fl::largest<float>(x.span(), 1) == std::vector<std::int32_t>{1});
  CHECK(fl::largest<float>(x.span(), 2) == std::vector<std::int32_t>{1, 2});
  CHECK(fl::largest<float>(x.span(), 4) == std::vector<std::int32_t>{0, 1, 2, 4});
  CHECK(fl::kept_numbers(0.01, 5) == 1);
  CHECK(fl::kept_numbers(0.5, 5) == 3);
  CHECK(fl::sparse_pays<float>(4, 9));
  CHECK_FALSE(fl::sparse_pays<float>(4, 8));
}

TEST_CASE("top_k on the uplink: what was not sent yet is what the client keeps") {
  const std::vector<nn::TensorId> names(1, {"x"});
  io::Archive broadcast("broadcast"), state("state");
  broadcast.metadata() = {{"uplink", "top_k"}, {"keep", "0.1"}, {"factors", "0"}};
  rng::Stream draw(3);
  std::vector<double> wanted(40), sent(40);
  for (Index round = 1; round <= 8; ++round) {
    Tensor<double> base({40}), x({40});
    for (Index i = 0; i < 40; ++i) {
      base.data()[i] = draw.normal();
      x.data()[i] = base.data()[i] + draw.normal();
    }
    broadcast.put("x", base);
    io::Archive update("update");
    update.put("x", x);
    fl::encode_update<double>(update, broadcast, {SixClients::seed, round, 0}, names, state);
    REQUIRE(update.raw("x.value").shape == Shape{4});
    const auto got = fl::decode_update<double>(update, broadcast).get<double>("x");
    const auto kept = state.get<double>("codec.feedback.x");
    for (std::size_t i = 0; i < 40; ++i) {
      wanted[i] += x.data()[i] - base.data()[i];
      sent[i] += got.data()[i] - base.data()[i];
      CHECK(std::abs(wanted[i] - sent[i] - kept.data()[i]) < 1e-12);
    }
  }
}

TEST_CASE("top_k: what waits for factors is dropped when they start anew") {
  const std::vector<nn::TensorId> names{{"fc2.lora_A.weight", nn::Role::down}, {"fc2.bias"}};
  io::Archive broadcast("broadcast"), state("state"), update("update");
  broadcast.metadata() = {{"uplink", "top_k"}, {"keep", "0.1"}, {"factors", "0"}};
  const auto zero = nn::constant<float>({10}, 0.0), one = nn::constant<float>({10}, 1.0);
  const auto turn = [&](Index round, const char* factors_since) {
    broadcast.metadata()["factors"] = factors_since;
    for (const std::string& name : names) {
      broadcast.put(name, zero);
      update.put(name, one);
    }
    fl::encode_update<float>(update, broadcast, {SixClients::seed, round, 0}, names, state);
    std::vector<float> values;
    for (const std::string& name : names) {
      values.push_back(update.get<float>(name + ".value").data()[0]);
      update.erase(name + ".value");
      update.erase(name + ".index");
    }
    return values;
  };
  CHECK(turn(3, "0") == std::vector<float>{1, 1});
  CHECK(turn(5, "2") == std::vector<float>{2, 2});  // the factors are those of round 3
  CHECK(turn(8, "5") == std::vector<float>{1, 3});  // they started anew after round 5
}

TEST_CASE("Over any codec: every algorithm is the same on threads and through bytes alone") {
  const fl::Codecs codecs =
      GENERATE(fl::Codecs{Code::fp16, Code::bf16}, fl::Codecs{Code::int8, Code::int8},
               fl::Codecs{Code::top_k, Code::top_k, 0.1}, fl::Codecs{Code::top_k, Code::none, 0.02});
  CAPTURE(to_string(codecs.uplink), to_string(codecs.downlink));
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    INFO(A::name);
    if (codecs.downlink == Code::top_k && fl::AnyAlgorithm<float>(algorithm).kept_ranks) return;
    const auto start = start_of(algorithm);
    const auto coded = require_alike(algorithm, start, {.codecs = codecs}, 3);
    auto plain = SixClients{}.simulated(start, algorithm, 1);
    for (int i = 0; i < 3; ++i) plain.run_round(false);
    const bool sends = !std::is_same_v<A, fl::Local>;
    CHECK((coded != bits(plain.model())) == sends);  // it does code something
  });
}

TEST_CASE("Bytes of coded messages are the formula's") {
  auto start = small_factored<float>();
  std::size_t numbers = 0, tensors = 0, kept = 0, statistics = 0;
  const double keep = 0.05;
  for (const auto& p : start.trained_parameters()) {
    const Index size = p.value.value().size(), k = fl::kept_numbers(keep, size);
    numbers += static_cast<std::size_t>(size);
    ++tensors;
    kept += static_cast<std::size_t>(2 * k < size ? 8 * k : 4 * size);
  }
  for (const auto& [name, tensor, role] : start.state())
    statistics += static_cast<std::size_t>(4 * tensor.size());
  statistics -= 4 * numbers;
  const auto expected = [&](Code code) {
    if (code == Code::fp16 || code == Code::bf16) return statistics + 2 * numbers;
    return statistics + (code == Code::int8 ? numbers + 4 * tensors : kept);
  };
  for (const Code code : {Code::fp16, Code::bf16, Code::int8, Code::top_k}) {
    CAPTURE(to_string(code));
    ThroughBytes run(start, fl::FedLoRA{}, {.codecs = {code, code, keep}});
    const auto parts = small_parts(SixClients::clients);
    for (Index round = 1; round <= 3; ++round) {
      run.server.begin_round();
      for (const std::size_t client : {0u, 1u}) {
        if (client == 1 && round == 2) continue;  // sleeps
        const fl::Message down = run.server.broadcast(static_cast<Index>(client));
        fl::Message up =
            fl::answer(run.devices[client], down, run.algorithm, small_data().train,
                       parts.samples(static_cast<Index>(client)), momentum_client(), run.states[client]);
        CHECK(payload(up) == expected(code));
        if (code != Code::top_k || (client == 0 && round > 1))
          CHECK(payload(down) == expected(code));
        else if (round == 1)
          CHECK(payload(down) == statistics + 4 * numbers);
        else {
          CHECK(payload(down) > expected(code));  // two rounds' changes, some of the same numbers
          CHECK(payload(down) <= statistics + 2 * (expected(code) - statistics));
        }
        run.server.receive(std::move(up));
      }
      run.server.finish_round();
    }
  }
}

TEST_CASE(
    "top_k on the downlink: clients that slept have what those have that did not, and all come to the "
    "server's state") {
  auto start = small_factored<float>();
  fl::Server<float> server(start, fl::FedLoRA{}, SixClients::seed,
                           {.codecs = {.downlink = Code::top_k, .keep = 0.1}});
  const auto names = fl::coded_tensors(start);
  std::vector<io::Archive> states(2);
  const auto look = [&](Index client) {
    const fl::Message message = server.broadcast(client);
    return fl::decode_broadcast<float>(io::parse(message, "broadcast"), names,
                                       states[static_cast<std::size_t>(client)]);
  };
  auto target = small_factored<float>();  // what one client always answers
  rng::Stream draw(4);
  for (auto& p : target.trained_parameters()) {
    Tensor<float> x(p.value.shape());
    for (float& value : x.span()) value = static_cast<float>(draw.normal());
    p.value.set_value(x);
  }
  for (Index round = 1; round <= 14; ++round) {
    server.begin_round();
    const io::Archive always = look(0);
    if (round % 3 == 1) {
      const io::Archive sometimes = look(1);
      for (const std::string& name : names)
        REQUIRE(same_bits(sometimes.get<float>(name), always.get<float>(name)));
    }
    bool all = true;
    for (const auto& p : target.trained_parameters())
      all &= same_bits(always.get<float>(p.name), p.value.value());
    CHECK(all == (round >= 11));  // one round of its own, then ten tenths
    server.receive(fl::update_message(target, {SixClients::seed, round, 0}, 5, 0.0));
    if (round % 3 == 1) server.receive(fl::update_message(target, {SixClients::seed, round, 1}, 5, 0.0));
    server.finish_round();
  }
}

TEST_CASE("top_k on the downlink: factors that a merge made anew are sent whole") {
  auto start = small_factored<float>();
  ThroughBytes run(start, fl::FedLoRU{.tau = 2}, {.codecs = {Code::none, Code::top_k, 0.05}});
  for (int i = 0; i < 2; ++i) run.round();
  run.server.begin_round();
  const Index client = fl::sample_cohort(SixClients::seed, 2, SixClients::clients, SixClients::cohort)[0];
  const fl::Message message = run.server.broadcast(client);
  const io::Archive archive = io::borrow(message);
  for (const auto& p : run.server.model().trained_parameters()) {
    if (!nn::is_factor(p.role)) continue;
    INFO(p.name);
    CHECK(same_bits(archive.get<float>(p.name), p.value.value()));
  }
  CHECK(archive.contains("fc1.weight.index"));
}

TEST_CASE(
    "A client without the state that a broadcast takes for known, and malformed messages, are refused") {
  auto start = small_factored<float>();
  const std::vector<nn::TensorId> names(1, {"x"});
  io::Archive update("update"), base("broadcast");
  base.put("x", nn::constant<float>({20}, 0.0));
  const auto decoded = [&](auto change) {
    io::Archive archive("update");
    fl::put_sparse(archive, "x", nn::constant<float>({20}, 1.0), {3, 7});
    change(archive);
    return message_of<DataError>([&] { fl::decode_update<float>(archive, base); });
  };
  CHECK(decoded([](io::Archive&) {}) == "nothing was thrown");
  CHECK(decoded([](io::Archive& a) { a.put("x.index", tensor_of<std::int32_t>({3, 20})); }) ==
        "update: tensor x.index: expected increasing positions below 20, got 20 after 3");
  CHECK(decoded([](io::Archive& a) { a.put("x.index", tensor_of<std::int32_t>({7, 7})); }) ==
        "update: tensor x.index: expected increasing positions below 20, got 7 after 7");
  CHECK(decoded([](io::Archive& a) { a.put("x.index", tensor_of<std::int32_t>({-1, 7})); }) ==
        "update: tensor x.index: expected increasing positions below 20, got -1 after -1");
  CHECK(decoded([](io::Archive& a) { a.put("x.index", tensor_of<std::int32_t>({7})); }) ==
        "update: tensor x.value: expected shape (1), got (2)");
  CHECK(decoded([](io::Archive& a) { a.put("x.index", tensor_of<float>({3, 7})); }) ==
        "update: tensor x.index: expected dtype I32, got F32");
  CHECK(decoded([](io::Archive& a) { a.put("x", tensor_of<std::int8_t>({1, 2})); }) ==
        "update: expected a tensor named 'x.scale', got none among 3");
  CHECK(decoded([](io::Archive& a) {
          a.put("x", tensor_of<std::int8_t>({1, 2}));
          a.put("x.scale", tensor_of<float>({-1.0f}));
        }) == "update: tensor x.scale: expected a finite number >= 0, got -1");

  ThroughBytes run(start, fl::FedLoRA{}, {.codecs = {Code::top_k, Code::top_k, 0.05}});
  run.round();
  run.server.begin_round();
  const Index client = fl::sample_cohort(SixClients::seed, 1, SixClients::clients, SixClients::cohort)[0];
  const auto at = static_cast<std::size_t>(client);
  const fl::Message down = run.server.broadcast(client);
  io::Archive lost("state");
  const auto part = small_parts(SixClients::clients).samples(client);
  const auto turn = [&](io::Archive& state) {
    return fl::answer(run.devices[at], down, run.algorithm, small_data().train, part, momentum_client(),
                      state);
  };
  CHECK(message_of<DataError>([&] { turn(lost); }) ==
        "message: expected the state of a client that knows round 1, got 0");
  const fl::Message good = turn(run.states[at]);
  for (std::size_t byte = 8; byte < good.size(); byte += 97) {  // no byte may break the server
    fl::Message broken = good;
    broken[byte] ^= std::byte{0x55};
    try {
      fl::Server<float> server = run.server;
      server.receive(std::move(broken));
    } catch (const Error&) {}
  }
}

TEST_CASE("Codecs that make no sense are refused") {
  const auto made = [](fl::AnyAlgorithm<float> algorithm, fl::ServerOptions options) {
    auto model = small_model<float>();
    algorithm.parametrise(model, {.rank = 2});
    return message_of<ConfigError>([&] { fl::Server<float>(model, algorithm, 1, options); });
  };
  CHECK(made(fl::FedAvg{}, {.codecs = {.keep = 0.0}}) == "codec: keep: expected a number in (0, 1], got 0");
  CHECK(made(fl::HetLoRA{}, {.codecs = {.downlink = Code::top_k}}) ==
        "codec: downlink: top_k: expected clients that are sent the same, got ranks of their own under "
        "hetlora");
  CHECK(made(fl::FlexLoRA{},
             {.ranks = fl::ClientRanks(std::vector<Index>{1, 2}), .codecs = {.downlink = Code::top_k}}) ==
        "codec: downlink: top_k: expected clients that are sent the same, got ranks of their own under "
        "flexlora");
  CHECK(made(fl::FlexLoRA{}, {.codecs = {.downlink = Code::top_k}}) == "nothing was thrown");
}

TEST_CASE("A client whose numbers are not finite says so instead of coding them") {
  io::Archive broadcast("broadcast"), state("state"), update("update");
  const std::string code = GENERATE("fp16", "bf16", "int8", "top_k");
  broadcast.metadata() = {{"uplink", code}, {"keep", "0.1"}, {"factors", "0"}};
  broadcast.put("x", nn::constant<float>({10}, 0.0));
  update.put("x", nn::constant<float>({10}, std::numeric_limits<double>::quiet_NaN()));
  CHECK(message_of<DivergedError>([&] {
          fl::encode_update<float>(update, broadcast, {SixClients::seed, 1, 0}, {nn::TensorId{"x"}}, state);
        }) == "update: x is not finite");
}
