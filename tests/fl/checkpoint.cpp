// What a server and a simulation put into an archive, and what they take back.
#include <filesystem>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// Merges after rounds 2 and 4 where an algorithm merges.
fl::Simulation<float> simulation(const fl::AnyAlgorithm<float>& algorithm, fl::SimulationOptions o) {
  auto model = small_model<float>("mlp");
  const lowrank::FactorizeOptions options{.rank = 4, .alpha = 6.0};
  if (algorithm.low_rank)
    algorithm.parametrise(model, options);
  else
    lowrank::factorize(model, options);
  return {std::move(model), algorithm, small_data(), small_parts(6), o};
}

/// What an archive was after it has been a file.
io::Archive reread(const io::Archive& archive) { return io::parse(io::serialise(archive), "checkpoint"); }

template <class T>
io::Archive saved(T& from) {
  io::Archive archive;
  from.save(archive);
  return reread(archive);
}

void require_same_states(fl::ClientStore& a, fl::ClientStore& b) {
  for (Index k = 0; k < 6; ++k) {
    const auto expected = a.load(k), got = b.load(k);
    REQUIRE(got.has_value() == expected.has_value());
    if (got) REQUIRE(io::serialise(*got) == io::serialise(*expected));
  }
}

/// Six rounds at once, and six of which some are run after all was put into an archive and taken back.
void check_goes_on(const fl::AnyAlgorithm<float>& algorithm, fl::SimulationOptions o) {
  INFO(algorithm.name);
  const Folder folder;
  const auto on_disk = [&] { return std::make_shared<fl::VersionedStore>(folder.path); };
  auto whole = simulation(algorithm, o);
  std::vector<fl::Round> expected;
  for (const fl::Round& round : whole.rounds(6)) expected.push_back(round);
  o.store = on_disk();
  auto first = simulation(algorithm, o);
  for (int i = 0; i < 3; ++i) first.run_round(false);
  const io::Archive archive = saved(first);
  first.run_round(false);  // is lost
  o.store = on_disk();
  auto second = simulation(algorithm, o);
  second.restore(archive);
  for (std::size_t i = 3; i < 6; ++i) {
    const fl::Round round = second.run_round(false);
    REQUIRE(round.cohort == expected[i].cohort);
    REQUIRE(to_text(round.train_loss) == to_text(expected[i].train_loss));  // NaN too
    REQUIRE(round.uplink_bytes == expected[i].uplink_bytes);
    REQUIRE(round.downlink_bytes == expected[i].downlink_bytes);
    REQUIRE(round.merges == expected[i].merges);
  }
  REQUIRE(bits(second.model()) == bits(whole.model()));
  require_same_states(whole.store(), second.store());
  auto a = whole.global_model(), b = second.global_model();
  REQUIRE(bits(a) == bits(b));
  REQUIRE(second.personal_accuracy().mean == whole.personal_accuracy().mean);
  REQUIRE(io::serialise(saved(whole.server())) == io::serialise(saved(second.server())));
}

fl::SimulationOptions few_rounds() {
  return {.cohort = 3, .client = momentum_client(), .seed = 5, .threads = 2, .eval_every = 0};
}

fl::SimulationOptions coded() {
  fl::SimulationOptions o = few_rounds();
  o.server.rule = fl::ServerRule::fedadam;
  o.server.learning_rate = 0.01;
  o.codecs = {.uplink = fl::Code::top_k, .downlink = fl::Code::top_k, .keep = 0.2};
  return o;
}

}  // namespace

TEST_CASE("Checkpoint: every algorithm goes on as if it had not been stopped") {
  fl::for_each_algorithm([]<class A>(A algorithm) {
    if constexpr (requires { algorithm.tau; }) algorithm.tau = 2;
    check_goes_on(algorithm, few_rounds());
  });
}

TEST_CASE("Checkpoint: pruned ranks, codecs, moments, dropped clients and frozen weights from a file") {
  fl::SimulationOptions o = few_rounds();
  SECTION("ranks that clients prune") {
    o.ranks = {.rule = fl::RankRule::fixed, .values = {2, 4, 3}};
    check_goes_on(fl::HetLoRA{.gamma = 0.5, .lambda = 0.1}, o);
  }
  SECTION("codecs and a server optimizer") {
    o.server.rule = fl::ServerRule::fedadam;
    o.server.learning_rate = 0.01;
    o.codecs = {.uplink = fl::Code::top_k, .downlink = fl::Code::top_k, .keep = 0.1};
    check_goes_on(fl::FedLoRU{.tau = 2}, o);
    check_goes_on(fl::FLoRA{}, o);
    o.codecs.downlink = fl::Code::int8;
    check_goes_on(fl::FedSALoRA{}, o);
  }
  SECTION("drop-outs, and weights that each client is sent once") {
    o.drops = {.before = 0.2, .after = 0.2};
    o.min_updates = 2;
    o.weights_known = false;
    check_goes_on(fl::FedLoRU{.tau = 2}, o);
  }
  SECTION("a schedule that measures") {
    check_goes_on(fl::FedLoRU{.merge_when = fl::MergeWhen::norm, .growth = 0.9, .window = 1}, o);
  }
}

TEST_CASE("Checkpoint: states in memory are in the archive") {
  auto whole = simulation(fl::PFedLoRU{.tau = 2}, few_rounds()),
       second = simulation(fl::PFedLoRU{.tau = 2}, few_rounds());
  for (int i = 0; i < 3; ++i) whole.run_round(false);
  second.restore(saved(whole));
  require_same_states(whole.store(), second.store());
  for (int i = 0; i < 2; ++i) whole.run_round(false), second.run_round(false);
  CHECK(bits(second.model()) == bits(whole.model()));
}

TEST_CASE("Checkpoint: an archive that does not fit is refused by name, and nothing has changed") {
  auto from = simulation(fl::FedLoRU{.tau = 2}, coded()), to = simulation(fl::FedLoRU{.tau = 2}, coded());
  for (int i = 0; i < 3; ++i) from.run_round(false);
  const io::Archive good = saved(from);
  for (int i = 0; i < 4; ++i) to.run_round(false);
  const auto before = io::serialise(saved(to));
  const auto refused = [&](auto change) {
    io::Archive bad = good;
    change(bad);
    const std::string message = message_of<DataError>([&] { to.restore(bad); });
    CHECK(io::serialise(saved(to)) == before);
    return message;
  };
  const auto text = [&](const char* key, const char* value) {
    return refused([&](io::Archive& a) { a.metadata()[key] = value; });
  };
  CHECK(text("server.seed", "6") == "checkpoint: metadata 'server.seed': expected '5', got '6'");
  CHECK(text("server.algorithm", "fedavg") ==
        "checkpoint: metadata 'server.algorithm': expected 'fedloru', got 'fedavg'");
  CHECK(text("server.clients", "7") == "checkpoint: metadata 'server.clients': expected '6', got '7'");
  CHECK(text("server.round", "-1") ==
        "checkpoint: metadata 'server.round': expected 0 .. 4294967294, got -1");
  CHECK(text("server.round", "4294967295") ==
        "checkpoint: metadata 'server.round': expected 0 .. 4294967294, got 4294967295");
  CHECK(text("history.merges", "9223372036854775807") ==
        "checkpoint: metadata 'history.merges': expected 0 .. 4294967294, got 9223372036854775807");
  CHECK(text("server.round", "3x") ==
        "checkpoint: metadata 'server.round': expected a whole number, got '3x'");
  CHECK(text("server.factors_since", "4") ==
        "checkpoint: metadata 'server.factors_since': expected 0 .. 3, got 4");
  CHECK(text("downlink.round", "4") == "checkpoint: metadata 'downlink.round': expected 0 .. 3, got 4");
  CHECK(refused([](io::Archive& a) { a.metadata().erase("history.merges"); }) ==
        "checkpoint: expected metadata 'history.merges', got none");
  CHECK_THAT(refused([](io::Archive& a) { a.erase("fc2.weight"); }), ContainsSubstring("'fc2.weight'"));
  CHECK_THAT(refused([](io::Archive& a) { a.put("fc1.weight", nn::constant<float>(Shape{2, 2}, 0.0f)); }),
             StartsWith("checkpoint: tensor fc1.weight: expected shape"));
  const auto numbers = [&](const char* name, std::initializer_list<Index> values) {
    return refused([&](io::Archive& a) {
      REQUIRE(a.contains(name));
      fl::put_table(a, name, {values});
    });
  };
  CHECK(numbers("known/merges", {0, 5, 5}) ==
        "checkpoint: tensor known/merges: client 0: expected -1 .. 1, got 5");
  CHECK(numbers("known/merges", {0, 1}) ==
        "checkpoint: tensor known/merges: expected 3 columns, got shape (1, 2)");
  CHECK(numbers("known/copies", {2, 9}) ==
        "checkpoint: tensor known/copies: client 2: expected 0 .. 3, got 9");
  CHECK(numbers("known/copies", {-2, 1}) ==
        "checkpoint: tensor known/copies: client: expected 0 .. 9223372036854775807, got -2");
  CHECK(numbers("history/fc2", {1}) == "checkpoint: tensor history/fc2: expected 0 .. 0, got 1");
  CHECK_THAT(numbers("downlink/changed/fc1.bias", {1, 2}),
             StartsWith("checkpoint: tensor downlink/changed/fc1.bias: expected 256 columns, got shape"));
  CHECK_THAT(refused([](io::Archive& a) {
               a.put("downlink/copy/fc1.bias", nn::constant<float>(Shape{16, 16}, 0.0f));
             }),
             StartsWith("checkpoint: tensor downlink/copy/fc1.bias: expected shape (256), got (16, 16)"));
  CHECK_THAT(
      refused([](io::Archive& a) {
        a.put("history/merge.0.fc2.lora_B.weight", nn::constant<float>(Shape{3, 4}, 0.0f));
      }),
      StartsWith("checkpoint: tensor history/merge.0.fc2.lora_B.weight: expected shape (256, 4), got"));
  CHECK_THAT(refused([](io::Archive& a) { fl::put_table(a, "ranks", {{0, 9}}); }),
             StartsWith("checkpoint: tensor ranks: client 0: expected 1 .. 4, got 9"));
  to.restore(good);
  CHECK(io::serialise(saved(to)) == io::serialise(good));
}

TEST_CASE("Checkpoint: a table of many rows of nothing is refused before it is built") {
  io::Archive archive("checkpoint");
  archive.put_raw("rows", {io::DType::i64, Shape{1'000'000'000'000, 0}, {}});
  CHECK_THAT(message_of<DataError>([&] { fl::get_table(archive, "rows", 0); }),
             StartsWith("checkpoint: tensor rows: expected no rows of nothing, got"));
}

TEST_CASE("Checkpoint: versions of states that a checkpoint names stay, others go") {
  const Folder folder;
  const auto names = [&] {
    std::set<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path))
      all.insert(entry.path().filename().string());
    return all;
  };
  using Names = std::set<std::string>;
  fl::VersionedStore store(folder.path);
  const auto save = [&](Index client, Index round) {
    io::Archive state;
    state.put("x", nn::constant<float>(Shape{1}, static_cast<float>(10 * round + client)));
    store.begin_round(round);
    store.save(client, state);
    store.commit();
  };
  const auto value = [](fl::ClientStore& s, Index client) {
    return s.load(client)->get<float>("x").data()[0];
  };
  const auto checkpoint = [&] {
    io::Archive archive;
    store.put_into(archive);
    return reread(archive);
  };
  save(1, 1);
  save(2, 1);
  save(1, 2);
  const io::Archive second = checkpoint();
  store.clean(std::nullopt);
  CHECK(names() == Names{"1.2.safetensors", "2.1.safetensors"});
  save(1, 3);
  save(1, 4);
  save(3, 4);
  CHECK(value(store, 1) == 41.0f);
  CHECK(names() == Names{"1.2.safetensors", "1.4.safetensors", "2.1.safetensors", "3.4.safetensors"});
  const io::Archive fourth = checkpoint();
  store.clean(2);
  CHECK(names() == Names{"1.2.safetensors", "1.4.safetensors", "2.1.safetensors", "3.4.safetensors"});
  save(2, 5);
  save(3, 5);

  // A run that was killed here goes on after round 4.
  io::write_file(folder.path / "notes.txt", "mine");
  fl::VersionedStore again(folder.path);
  CHECK_FALSE(again.load(1));
  again.begin_round(4);
  again.take_from(fourth);
  again.clean(&second);
  CHECK(names() ==
        Names{"1.2.safetensors", "1.4.safetensors", "2.1.safetensors", "3.4.safetensors", "notes.txt"});
  CHECK(value(again, 1) == 41.0f);
  CHECK(value(again, 2) == 12.0f);
  again.clean(4);  // the checkpoint of round 6; none before 4 is kept
  CHECK(names() == Names{"1.4.safetensors", "2.1.safetensors", "3.4.safetensors", "notes.txt"});
  again.forget();
  CHECK_FALSE(again.load(1));
  again.clean(4);
  CHECK(std::filesystem::exists(folder.path / "1.4.safetensors"));
  again.clean(5);
  CHECK(names() == Names{"notes.txt"});

  io::Archive bad("checkpoint");
  fl::put_table(bad, "states", {{1, 0}});
  CHECK(message_of<DataError>([&] { again.take_from(bad); }) ==
        "checkpoint: tensor states: client 1: expected 1 .. 9223372036854775807, got 0");
}
