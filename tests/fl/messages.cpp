// The two ends of a federation, joined by bytes alone.
#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

std::uint64_t header_bytes(const fl::Message& message) {
  std::uint64_t length = 0;
  std::memcpy(&length, message.data(), sizeof length);
  return 8 + length;
}

std::uint64_t payload(nn::Model<float>& model) {
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor, role] : model.state())
    bytes += static_cast<std::uint64_t>(tensor.size()) * sizeof(float);
  return bytes;
}

/// One round with one client that sends random factors.
void pretend_round(fl::Server<float>& server, nn::Model<float>& model, Index client) {
  server.begin_round();
  const fl::Message broadcast = server.broadcast(client);
  const io::Archive archive = io::borrow(broadcast);
  fl::get_state(archive, model);
  fl::apply_missed_merges(archive, model);
  for (auto& p : model.trained_parameters())
    p.value.set_value(to_layout(gaussian<float>(p.value.shape(), static_cast<std::uint64_t>(server.round())),
                                p.value.value().layout()));
  server.receive(fl::update_message(model, {server.seed(), server.round(), client}, 10, 1.0));
  server.finish_round();
}

}  // namespace

TEST_CASE("Server and clients through bytes alone are the simulation bit for bit") {
  const std::string name = GENERATE("mlp", "resnet10");
  const fl::FedLoRU algorithm{.tau = 2,
                              .merge = GENERATE(lowrank::MergeKind::reinit, lowrank::MergeKind::keep)};
  const auto parts = small_parts(6);
  const auto start = small_factored<float>(name);
  const auto options = momentum_client();
  fl::Simulation simulation{start,
                            algorithm,
                            small_data(),
                            parts,
                            {.cohort = 2, .client = options, .seed = 9, .threads = 2, .eval_every = 0}};
  fl::Server<float> server(start, algorithm, 9);
  std::vector<nn::Model<float>> devices(6, start);
  std::set<Index> seen;
  for (const fl::Round& round : simulation.rounds(7)) {
    INFO("round " << round.index);
    server.begin_round();
    std::uint64_t uplink = 0, downlink = 0;
    for (Index client : fl::sample_cohort(9, round.index, 6, 2)) {
      const auto at = static_cast<std::size_t>(client);
      const fl::Message down = server.broadcast(client);
      fl::Message up =
          fl::answer(devices[at], down, algorithm, small_data().train, parts.samples(client), options);
      REQUIRE(up.size() == header_bytes(up) + payload(devices[at]));
      uplink += up.size();
      downlink += down.size();
      server.receive(std::move(up));
      require_same_weights(devices[at], server.model());
      seen.insert(client);
    }
    REQUIRE(server.finish_round() == round.train_loss);
    REQUIRE(uplink == round.uplink_bytes);
    REQUIRE(downlink == round.downlink_bytes);
    REQUIRE(bits(server.model()) == bits(simulation.model()));
  }
  CHECK(server.merges() == 3);
  CHECK(seen.size() > 2);
}

TEST_CASE("Means of parameters and of running statistics are those of the messages") {
  fl::Server<float> server(small_model<float>("resnet10"), fl::FedAvg{}, 2);
  const auto parts = small_parts(3);
  server.begin_round();
  std::vector<fl::Update> updates;
  Index samples = 0;
  for (Index client = 0; client < 3; ++client) {
    auto device = small_model<float>("resnet10");
    const auto down = server.broadcast(client);
    const auto up =
        fl::answer(device, down, fl::FedAvg{}, small_data().train, parts.samples(client), momentum_client());
    updates.push_back(fl::read_update(fl::Message(up)));
    CHECK(updates.back().samples == parts.size(client));
    samples += updates.back().samples;
    server.receive(fl::Message(up));
  }
  server.finish_round();
  Index statistics = 0;
  for (const auto& [name, got, role] : server.model().state()) {
    INFO(name);
    statistics += name.ends_with("running_mean");
    Tensor<float> mean(got.shape());
    for (Index i = 0; i < got.size(); ++i) {
      double sum = 0.0;
      for (const auto& update : updates)
        sum += static_cast<double>(update.samples) *
               static_cast<double>(update.state.get<float>(name).data()[i]);
      mean.data()[i] = static_cast<float>(sum / static_cast<double>(samples));
    }
    REQUIRE(same_bits(got, mean));
  }
  CHECK(statistics == 12);
}

TEST_CASE("A client that slept through merges gets factors or weights, whichever is less") {
  // fc1 256 x 64 with rank 16: weight 65,536 bytes, factors 20,480 a merge; fc2 256 x 256: 262,144 and
  // 32,768.
  const Index away = GENERATE(0, 1, 3, 4, 7, 8, 13);
  const bool already_known = GENERATE(false, true);
  auto model = small_model<float>();
  lowrank::factorize(model, {.rank = 16, .layers = {"fc1", "fc2"}});
  fl::Server<float> server(model, fl::FedLoRU{.tau = 1}, 1);
  auto busy = model, sleepy = model;
  const Index before = already_known ? 10 : 0;
  for (Index i = 0; i < before; ++i) pretend_round(server, busy, 0);
  if (already_known) {
    server.begin_round();
    const auto message = server.broadcast(1);
    server.arrived(1);
    fl::apply_missed_merges(io::borrow(message), sleepy);
  }
  // The round begun above ends without an update, so merges go on from `before`.
  for (Index i = 0; i < away; ++i) pretend_round(server, busy, 0);
  server.begin_round();
  const fl::Message message = server.broadcast(1);
  const io::Archive archive = io::borrow(message);
  const std::uint64_t factors1 = 16 * (256 + 64) * 4, factors2 = 16 * (256 + 256) * 4;
  const bool weight1 = static_cast<std::uint64_t>(away) * factors1 >= 256 * 64 * 4,
             weight2 = static_cast<std::uint64_t>(away) * factors2 >= 256 * 256 * 4;
  CHECK(archive.contains("fc1.weight") == weight1);
  CHECK(archive.contains("fc2.weight") == weight2);
  for (Index k = 0; k < before + away; ++k) {
    const bool missed = k >= before;
    CHECK(archive.contains("merge." + std::to_string(k) + ".fc1.lora_A.weight") == (missed && !weight1));
    CHECK(archive.contains("merge." + std::to_string(k) + ".fc2.lora_B.weight") == (missed && !weight2));
  }
  const auto caught_up = std::min<std::uint64_t>(256 * 64 * 4, static_cast<std::uint64_t>(away) * factors1) +
                         std::min<std::uint64_t>(256 * 256 * 4, static_cast<std::uint64_t>(away) * factors2);
  CHECK(message.size() == header_bytes(message) + payload(model) + caught_up);
  fl::apply_missed_merges(archive, sleepy);
  require_same_weights(sleepy, server.model());

  server.arrived(1);
  server.begin_round();  // nothing is sent twice
  const fl::Message next = server.broadcast(1);
  CHECK(next.size() == header_bytes(next) + payload(model));
}

TEST_CASE("A broadcast that was lost is told again, and one of which nothing was said leaves no doubt") {
  auto model = small_model<float>();
  lowrank::factorize(model, {.rank = 16, .layers = {"fc1", "fc2"}});
  fl::Server<float> server(model, fl::FedLoRU{.tau = 1}, 1);
  auto busy = model, sleepy = model;
  for (int i = 0; i < 2; ++i) pretend_round(server, busy, 0);
  server.begin_round();
  const fl::Message first = server.broadcast(1);
  server.lost(1);
  CHECK(message_of<Error>([&] { server.lost(1); }) ==
        "server: client 1: expected a broadcast of round 3 without an answer");
  CHECK(message_of<DataError>([&] { server.receive(fl::update_message(sleepy, {1, 3, 1}, 5, 1.0)); }) ==
        "server: update of client 1: expected a client of the cohort that has not answered yet");
  CHECK(server.broadcast(1) == first);  // in the same round
  server.lost(1);
  pretend_round(server, busy, 0);
  server.begin_round();
  const fl::Message third = server.broadcast(1);
  for (const Index merge : {0, 1, 2})
    CHECK(io::borrow(third).contains(fl::merge_name(merge, "fc2", nn::Role::down)));

  // Whether it came or not: the next one has the weights themselves, and both clients end where the server
  // is.
  auto got_it = sleepy;
  fl::apply_missed_merges(io::borrow(third), got_it);
  pretend_round(server, busy, 0);
  server.begin_round();
  const fl::Message fourth = server.broadcast(1);
  CHECK(io::borrow(fourth).contains("fc1.weight"));
  CHECK_FALSE(io::borrow(fourth).contains(fl::merge_name(3, "fc2", nn::Role::down)));
  fl::apply_missed_merges(io::borrow(fourth), got_it);
  fl::apply_missed_merges(io::borrow(fourth), sleepy);
  require_same_weights(got_it, server.model());
  require_same_weights(sleepy, server.model());

  // Of two broadcasts in a row the second is lost; the first still may have come.
  pretend_round(server, busy, 0);
  server.begin_round();
  fl::apply_missed_merges(io::borrow(server.broadcast(1)), got_it);
  pretend_round(server, busy, 0);
  server.begin_round();
  server.broadcast(1);
  server.lost(1);
  const fl::Message after = server.broadcast(1);
  CHECK(io::borrow(after).contains("fc1.weight"));
  fl::apply_missed_merges(io::borrow(after), got_it);
  require_same_weights(got_it, server.model());

  // An answer that is refused says nothing: anybody may have sent it. arrived() says that it came.
  auto dense = small_model<float>();
  CHECK_THROWS_AS(server.receive(fl::update_message(dense, {1, server.round(), 1}, 5, 1.0)), DataError);
  server.begin_round();
  CHECK(io::borrow(server.broadcast(1)).contains("fc1.weight"));
  server.arrived(1);
  server.begin_round();
  const fl::Message sixth = server.broadcast(1);
  CHECK(sixth.size() == header_bytes(sixth) + payload(model));
}

TEST_CASE("What clients are sent the same is made once a round, and shared") {
  fl::Server<float> server(small_factored<float>("resnet10"), fl::FedLoRA{}, 1);
  server.begin_round();
  const io::Archive one = server.offer(4), two = server.offer(7);
  REQUIRE(one.size() > 0);
  for (const auto& [name, raw] : one.tensors()) CHECK(raw.bytes.data() == two.raw(name).bytes.data());
  CHECK(io::serialised_size(one) == server.broadcast(5).size());
  CHECK(one.metadata().at("client") == "4");
  CHECK(two.metadata().at("client") == "7");

  // Clients of other ranks are sent something else.
  auto mixed = small_factored<float>("resnet10");
  fl::Server<float> ranks(mixed, fl::FedLoRA{}, 1, {.ranks = fl::ClientRanks({1, 2, 1})});
  ranks.begin_round();
  const io::Archive low = ranks.offer(0), high = ranks.offer(1), again = ranks.offer(2);
  const auto factor = [](const io::Archive& a) { return a.raw("layer1.0.conv1.lora_A.weight"); };
  CHECK(factor(low).shape[0] == 1);
  CHECK(factor(high).shape[0] == 2);
  CHECK(factor(low).bytes.data() == factor(again).bytes.data());
}

TEST_CASE("Weights catch up bit for bit in convolutions too") {
  const auto model = small_factored<float>("resnet10");
  fl::Server<float> server(model, fl::FedLoRU{.tau = 1, .merge = lowrank::MergeKind::keep}, 1);
  auto busy = model, sleepy = model;
  for (const Index away : {1, 2, 9, 0, 3}) {
    for (Index i = 0; i < away; ++i) pretend_round(server, busy, 0);
    server.begin_round();
    const fl::Message message = server.broadcast(1);
    fl::apply_missed_merges(io::borrow(message), sleepy);
    require_same_weights(sleepy, server.model());
  }
}

TEST_CASE("The server refuses updates that are malformed, late, foreign or sent twice, and goes on") {
  const auto model = small_factored<float>();
  const auto parts = small_parts(2);
  fl::Server<float> server(model, fl::FedLoRA{}, 4), quiet(model, fl::FedLoRA{}, 4);
  CHECK(message_of<Error>([&] { server.broadcast(0); }) ==
        "server: expected begin_round() before broadcast()");
  server.begin_round();
  quiet.begin_round();
  std::vector<fl::Message> updates;
  fl::Message broadcast;
  for (Index client = 0; client < 2; ++client) {
    auto device = model;
    broadcast = server.broadcast(client);
    CHECK(quiet.broadcast(client) == broadcast);
    updates.push_back(fl::answer(device, broadcast, fl::FedLoRA{}, small_data().train, parts.samples(client),
                                 momentum_client()));
  }
  CHECK(message_of<Error>([&] { server.broadcast(1); }) ==
        "server: client 1 was sent its broadcast of round 1 already");
  const auto refused = [&](fl::Message message) {
    return message_of<DataError>([&] { server.receive(std::move(message)); });
  };
  const auto with = [&](const char* key, const char* value) {
    return changed(updates[0], [&](io::Archive& a) { a.metadata()[key] = value; });
  };
  const auto without = [&](const char* key) {
    return changed(updates[0], [&](io::Archive& a) { a.metadata().erase(key); });
  };
  const auto attack = [&] {
    CHECK_THAT(refused({}), StartsWith("update: byte 0: expected 8 bytes of header length"));
    CHECK_THAT(refused(fl::Message(updates[0].begin(), updates[0].end() - 1)), StartsWith("update: "));
    CHECK(refused(broadcast) == "message: expected kind 'update', got 'broadcast'");
    CHECK(refused(without("kind")) == "message: expected kind 'update', got ''");
    for (const char* key : {"seed", "round", "client"})
      CHECK(refused(without(key)) == concat("message: expected metadata '", key, "'"));
    for (const char* key : {"samples", "loss"})
      CHECK(refused(without(key)) ==
            concat("server: update of client 0: message: expected metadata '", key, "'"));
    CHECK(refused(with("round", "one")) == "message: metadata 'round': expected a number, got 'one'");
    CHECK(refused(with("round", "0")) == "message: expected a round from 1 and a client from 0, got 0 and 0");
    CHECK(refused(with("client", "-1")) ==
          "message: expected a round from 1 and a client from 0, got 1 and -1");
    CHECK(refused(with("samples", "0")) == "server: update of client 0: expected samples > 0, got 0");
    CHECK(refused(with("samples", "5x")) ==
          "server: update of client 0: message: metadata 'samples': expected a number, got '5x'");
    CHECK(refused(with("loss", "nan")) == "server: update of client 0: expected a finite loss, got nan");
    CHECK(refused(with("round", "2")) == "server: update of client 0: expected round 1, got 2");
    CHECK(refused(with("seed", "5")) == "server: update of client 0: expected seed 4, got 5");
    CHECK(refused(with("client", "3")) ==
          "server: update of client 3: expected a client of the cohort that has not answered yet");
    CHECK(refused(changed(updates[0], [](io::Archive& a) { a.erase("fc3.bias"); })) ==
          "server: update of client 0: expected 7 tensors, got 6");
    CHECK_THAT(refused(changed(updates[0],
                               [](io::Archive& a) {
                                 a.erase("fc3.bias");
                                 a.put("fc3.bais", Tensor<float>({4}, {1, 2, 3, 4}));
                               })),
               StartsWith("server: update of client 0: update: expected a tensor named 'fc3.bias'"));
    CHECK(refused(changed(updates[0], [](io::Archive& a) {
            a.put("fc3.bias", Tensor<float>({2}, {1, 2}));
          })) == "server: update of client 0: fc3.bias: expected F32 (4), got F32 (2)");
    CHECK(refused(changed(updates[0], [](io::Archive& a) {
            a.put("fc3.bias", Tensor<double>({4}, {1, 2, 3, 4}));
          })) == "server: update of client 0: fc3.bias: expected F32 (4), got F64 (4)");
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(message_of<DivergedError>([&] {
            server.receive(changed(
                updates[0], [&](io::Archive& a) { a.put("fc3.bias", Tensor<float>({4}, {1, 2, nan, 4})); }));
          }) == "round 1, client 0: fc3.bias is not finite after training");
  };
  attack();
  server.receive(fl::Message(updates[0]));
  CHECK(refused(updates[0]) ==
        "server: update of client 0: expected a client of the cohort that has not answered yet");
  server.receive(fl::Message(updates[1]));
  for (auto& update : updates) quiet.receive(fl::Message(update));
  CHECK(server.finish_round() == quiet.finish_round());
  CHECK(bits(server.model()) == bits(quiet.model()));
  CHECK_THROWS_AS(server.finish_round(), Error);
}

TEST_CASE("A client refuses broadcasts that are malformed and keeps its weights") {
  auto model = small_model<float>();
  lowrank::factorize(model, {.rank = 16, .layers = {"fc1", "fc2"}});
  fl::Server<float> server(model, fl::FedLoRU{.tau = 1}, 1);
  auto busy = model, device = model, other = model;
  for (int i = 0; i < 4; ++i) pretend_round(server, busy, 0);
  server.begin_round();
  const fl::Message good = server.broadcast(1);  // fc1 as a weight, fc2 as the factors of four merges
  const std::vector<Index> samples{0, 1, 2};
  const auto before = frozen_weights(device);
  const auto refused = [&](const fl::Message& message) {
    const std::string text = message_of<DataError>(
        [&] { fl::answer(device, message, fl::FedLoRU{}, small_data().train, samples, momentum_client()); });
    for (const auto& [name, w] : frozen_weights(device)) REQUIRE(same_bits(w, before.at(name)));
    return text;
  };
  const auto bad = [&](auto f) { return refused(changed(good, f)); };
  const std::string b3 = "merge.3.fc2.lora_B.weight", a0 = "merge.0.fc2.lora_A.weight";
  CHECK_THAT(refused({}), StartsWith("broadcast: byte 0"));
  CHECK(bad([](io::Archive& a) { a.metadata()["kind"] = "update"; }) ==
        "message: expected kind 'broadcast', got 'update'");
  CHECK(bad([](io::Archive& a) { a.metadata().erase("merges"); }) == "message: expected metadata 'merges'");
  CHECK(bad([](io::Archive& a) { a.metadata()["merges"] = "many"; }) ==
        "message: metadata 'merges': expected a number, got 'many'");
  CHECK_THAT(bad([](io::Archive& a) { a.erase("fc2.lora_A.weight"); }),
             StartsWith("broadcast: expected a tensor named 'fc2.lora_A.weight'"));
  CHECK_THAT(bad([](io::Archive& a) { a.put("fc3.bias", Tensor<float>({1}, {1})); }),
             ContainsSubstring("tensor fc3.bias: expected shape (4), got (1)"));
  CHECK_THAT(bad([](io::Archive& a) { a.put("fc1.weight", Tensor<float>({1}, {1})); }),
             ContainsSubstring("tensor fc1.weight: expected shape (256, 64), got (1)"));
  CHECK_THAT(bad([&](io::Archive& a) { a.erase(b3); }), ContainsSubstring("'" + b3 + "'"));
  CHECK_THAT(bad([&](io::Archive& a) { a.put(b3, Tensor<float>({16, 256})); }),
             ContainsSubstring("expected shape (256, 16), got (16, 256)"));
  CHECK_THAT(bad([&](io::Archive& a) { a.put(a0, Tensor<double>({16, 256})); }), ContainsSubstring("F64"));
  CHECK(message_of<ConfigError>([&] {
          fl::answer(device, good, fl::FedLoRU{}, small_data().train, {}, momentum_client());
        }) == "client 1: expected at least one sample");

  const auto up = fl::answer(other, good, fl::FedLoRU{}, small_data().train, samples, momentum_client());
  require_same_weights(other, server.model());
  CHECK(fl::read_update(fl::Message(up)).samples == 3);
  // Any number of merges takes no longer than those in the message, which are not the last ones then.
  CHECK(bad([](io::Archive& a) { a.metadata()["merges"] = "9000000000000000000"; }) ==
        "message: broadcast: expected tensors of the model, its merges and the algorithm, got '" + a0 + "'");
  // Nothing that a client does not read is passed over.
  for (const std::string name : {"zzz", "merge.4.fc2.lora_A.weight", "fc3.lora_A.weight", "control.fc1.bias"})
    CHECK(bad([&](io::Archive& a) { a.put(name, Tensor<float>({1}, {1})); }) ==
          "message: broadcast: expected tensors of the model, its merges and the algorithm, got '" + name +
              "'");
}

namespace {

/// Sends a tensor besides the state.
struct Noting {
  std::string note = "noting.x";

  static constexpr std::string_view name = "noting";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::broadcast>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void broadcast(fl::Server<T, D>& server, io::Archive& archive, std::span<const Index>) const {
    fl::put_state(archive, server.model());
    archive.put(note, Tensor<T>({1}, {1}));
  }
};

}  // namespace

TEST_CASE("An algorithm's own tensors have its name") {
  for (const Noting& algorithm : {Noting{}, Noting{"other.x"}}) {
    auto model = small_model<float>();
    fl::Server<float> server(model, algorithm, 4);
    server.begin_round();
    const fl::Message broadcast = server.broadcast(0);
    const std::vector<Index> samples{0, 1, 2};
    CHECK(message_of<DataError>([&] {
            fl::answer(model, broadcast, algorithm, small_data().train, samples, momentum_client());
          }) == (algorithm.note == "noting.x"
                     ? "nothing was thrown"
                     : "message: broadcast: expected tensors of the model, its merges and the algorithm, got "
                       "'other.x'"));
  }
}

TEST_CASE("A server sends to the clients of its federation alone, and has a budget for each") {
  const auto model = small_factored<float>();
  fl::Server<float> server(model, fl::FedLoRA{}, 4, {.clients = 3}), unknown(model, fl::FedLoRA{}, 4);
  server.begin_round();
  unknown.begin_round();
  for (const Index client : {Index{-1}, Index{3}, Index{1} << 40})
    CHECK(message_of<Error>([&] { server.broadcast(client); }) ==
          concat("server: expected a client in 0 .. 2, got ", client));
  for (const Index client : {Index{-1}, (Index{1} << 32) - 1})
    CHECK(message_of<Error>([&] { unknown.broadcast(client); }) ==
          concat("server: expected a client in 0 .. 4294967294, got ", client));
  CHECK(server.broadcast(2) == unknown.broadcast(2));
  const auto error = [&](fl::ServerOptions options) {
    return message_of<ConfigError>([&] { fl::Server<float>(model, fl::HetLoRA{}, 4, std::move(options)); });
  };
  const fl::ClientRanks two(std::vector<Index>{1, 2});
  CHECK(error({.ranks = two, .clients = 3}) == "server: ranks: expected 3, one a client, got 2");
  CHECK(error({.ranks = two, .clients = 2}) == "nothing was thrown");
  CHECK(error({.ranks = two}) == "nothing was thrown");
  CHECK(error({.clients = -1}) == "server: clients: expected 0 .. 4294967295, got -1");
  CHECK(error({.clients = Index{1} << 32}) == "server: clients: expected 0 .. 4294967295, got 4294967296");
}

TEST_CASE("A server that goes back has nothing of the round that was running") {
  const auto model = small_factored<float>();
  fl::Server<float> server(model, fl::FedLoRA{}, 4);
  auto client = model;
  pretend_round(server, client, 0);
  io::Archive saved("server");
  server.save(saved);
  const io::Archive before = io::parse(io::serialise(saved), "server");
  server.begin_round();
  server.broadcast(1);
  CHECK(server.received() == 0);
  server.receive(fl::update_message(client, {server.seed(), server.round(), 1}, 10, 1.0));
  CHECK(server.received() == 1);
  server.drop_updates();
  CHECK(server.received() == 0);
  CHECK_THROWS_AS(server.finish_round(), Error);
  server.begin_round();
  server.broadcast(1);
  server.receive(fl::update_message(client, {server.seed(), server.round(), 1}, 10, 1.0));
  server.restore(before);
  CHECK(server.received() == 0);
  CHECK_THROWS_AS(server.finish_round(), Error);
  io::Archive after("server");
  server.save(after);
  CHECK(io::serialise(after) == io::serialise(before));
}

TEST_CASE("A client's state holds what its algorithm keeps and nothing else") {
  auto model = small_factored<float>();
  const fl::AnyAlgorithm<float> algorithm(fl::SCAFFOLD{.low_rank = true});
  fl::Server<float> server(model, algorithm, 4, {.clients = 2});
  server.begin_round();
  io::Archive state("state");
  auto device = model;
  fl::answer(device, server.broadcast(0), algorithm, small_data().train, small_parts(2).samples(0),
             momentum_client(), state);
  CHECK_NOTHROW(fl::check_state(state, model, algorithm));
  CHECK_NOTHROW(fl::check_state(io::Archive("state"), model, algorithm));
  const auto refused = [&](auto change) {
    io::Archive other = state;
    change(other);
    return message_of<DataError>([&] { fl::check_state(other, model, algorithm); });
  };
  CHECK(refused([](io::Archive& a) { a.put("own.fc1.bias", Tensor<float>({256})); }) ==
        "state: expected what clients keep under scaffold, got tensor 'own.fc1.bias'");
  CHECK(refused([](io::Archive& a) { a.put("control.fc1.bias", Tensor<float>({3})); }) ==
        "state: tensor control.fc1.bias: expected shape (256), got (3)");
  CHECK_THAT(refused([](io::Archive& a) { a.put("control.fc1.bias", Tensor<double>({256})); }),
             ContainsSubstring("expected dtype F32, got F64"));
  Tensor<float> infinite({256});
  std::fill_n(infinite.data(), 256, std::numeric_limits<float>::infinity());
  CHECK(refused([&](io::Archive& a) { a.put("control.fc1.bias", infinite); }) ==
        "state: tensor control.fc1.bias: expected finite numbers");
  CHECK(refused([](io::Archive& a) { a.metadata()["note"] = "x"; }) ==
        "state: expected metadata of codecs, got 'note'");
  CHECK(refused([](io::Archive& a) { a.metadata()["codec.round"] = "0"; }) ==
        "state: metadata 'codec.round': expected a round from 1, got 0");
}
