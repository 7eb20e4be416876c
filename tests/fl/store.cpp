// What clients keep between their turns.
#include <filesystem>

#include <loru/data/digits.hpp>
#include <loru/data/partition/dirichlet.hpp>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// FedAvg whose clients count their turns, and whose loss is not finite in one round.
struct CountingTurns {
  Index diverges = 0;

  static constexpr std::string_view name = "counting";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::train>;
  static constexpr auto fields() { return Fields{}; }

  double train(const fl::Turn<float>& turn) const {
    double turns = 0.0;
    if (turn.state.size() > 0)
      turns = fl::personal_tensor<double>(turn.state, turn.head.client, "counting.turns", Shape{1}).data()[0];
    turn.state.put("counting.turns", nn::constant<double>(Shape{1}, turns + 1.0));
    require<DivergedError>(turn.head.round != diverges, "diverged");
    return fl::train(turn);
  }
};

double turns(fl::ClientStore& store, Index client) {
  const auto state = store.load(client);
  return state ? state->get<double>("counting.turns").data()[0] : 0.0;
}

fl::SimulationOptions stored_in(std::shared_ptr<fl::ClientStore> store, Index threads = 1) {
  return {.cohort = 3,
          .client = momentum_client(),
          .seed = 9,
          .threads = threads,
          .eval_every = 0,
          .store = std::move(store)};
}

}  // namespace

TEST_CASE("A client finds in its next turn what it kept, in memory and on disk") {
  const Folder folder;
  const bool disk = GENERATE(false, true);
  std::shared_ptr<fl::ClientStore> store;
  if (disk)
    store = std::make_shared<fl::DiskStore>(folder.path);
  else
    store = std::make_shared<fl::MemoryStore>();
  fl::Simulation simulation{small_model<float>(), CountingTurns{}, small_data(), small_parts(12),
                            stored_in(store, GENERATE(1, 3))};
  std::map<Index, double> expected;
  for (const fl::Round& round : simulation.rounds(4))
    for (const Index client : round.cohort) expected[client] += 1.0;
  REQUIRE(expected.size() < 12);
  for (Index client = 0; client < 12; ++client) CHECK(turns(*store, client) == expected[client]);
  std::vector<Index> seen;
  for (const auto& [client, count] : expected)
    if (count > 0.0) seen.push_back(client);
  CHECK(store->clients() == seen);
  if (!disk) return;
  fl::DiskStore again(folder.path);  // as after a restart of the program
  for (Index client = 0; client < 12; ++client) CHECK(turns(again, client) == expected[client]);
  CHECK(again.clients() == seen);
}

TEST_CASE("A federation goes on after a restart with what its clients had kept on disk") {
  const auto whole = [&](const auto& algorithm) {
    const Folder folder, other;
    auto start = small_factored<float>();
    const auto simulation = [&](nn::Model<float> model, const Folder& at, Index before) {
      auto o = stored_in(std::make_shared<fl::DiskStore>(at.path));
      o.rounds_before = before;
      o.weights_known = before == 0;
      return fl::Simulation<float>{std::move(model), algorithm, small_data(), small_parts(5), o};
    };
    auto uninterrupted = simulation(start, folder, 0);
    for (int i = 0; i < 5; ++i) uninterrupted.run_round(false);
    nn::Model<float> saved;
    {
      auto first = simulation(start, other, 0);
      for (int i = 0; i < 2; ++i) first.run_round(false);
      saved = first.model();
    }
    auto second = simulation(saved, other, 2);
    for (int i = 0; i < 3; ++i) second.run_round(false);
    CHECK(bits(second.model()) == bits(uninterrupted.model()));
    for (Index k = 0; k < 5; ++k) {
      const auto expected = uninterrupted.store().load(k), got = second.store().load(k);
      REQUIRE(got.has_value() == expected.has_value());
      if (got) CHECK(io::serialise(*got) == io::serialise(*expected));
    }
  };
  whole(fl::FedSALoRA{});
  whole(fl::PFedLoRU{.tau = 2});
}

TEST_CASE("What clients kept in a round that diverged is not kept") {
  const auto store = std::make_shared<fl::MemoryStore>();
  fl::Simulation simulation{small_model<float>(), CountingTurns{.diverges = 2}, small_data(), small_parts(3),
                            stored_in(store, GENERATE(1, 3))};
  simulation.run_round(false);
  CHECK_THROWS_AS(simulation.run_round(false), DivergedError);
  for (Index client = 0; client < 3; ++client) CHECK(turns(*store, client) == 1.0);
  simulation.run_round(false);
  for (Index client = 0; client < 3; ++client) CHECK(turns(*store, client) == 2.0);
}

TEST_CASE("Client states on disk: one file each, none half-written, and clear() removes no other") {
  const Folder folder;
  fl::DiskStore store(folder.path);
  CHECK_FALSE(store.load(7));
  CHECK(store.clients().empty());
  CHECK_FALSE(std::filesystem::exists(folder.path));
  io::Archive state;
  state.put("x", gaussian({3, 2}));
  store.save(7, state);
  CHECK_FALSE(store.load(7));
  store.commit();
  io::write_file(folder.path / "notes.txt", "mine");
  for (const char* name : {"x7.safetensors", "07.safetensors", "-7.safetensors"})
    io::write_file(folder.path / name, "mine");
  CHECK(store.load(7)->get<double>("x", {3, 2}).data()[5] == gaussian({3, 2}).data()[5]);
  CHECK(std::filesystem::exists(folder.path / "7.safetensors"));
  io::write_file(folder.path / "8.safetensors", "broken");
  CHECK_THAT(message_of<DataError>([&] { store.load(8); }),
             StartsWith("client 8: state: byte 6: expected 8"));
  store.save(7, io::Archive());
  store.discard();
  CHECK(store.load(7)->size() == 1);
  CHECK_FALSE(std::filesystem::exists(folder.path / "7.next.safetensors"));
  store.save(10, state);
  store.commit();
  store.save(9, state);
  CHECK(store.clients() == std::vector<Index>{7, 8, 10});
  store.clear();
  CHECK_FALSE(store.load(7));
  CHECK_FALSE(std::filesystem::exists(folder.path / "9.next.safetensors"));
  CHECK(std::filesystem::exists(folder.path / "notes.txt"));
  CHECK(store.clients().empty());
  for (const char* name : {"x7.safetensors", "07.safetensors", "-7.safetensors"})
    CHECK(std::filesystem::exists(folder.path / name));
}

TEST_CASE("A state is a copy: what is written to its tensors later does not show") {
  fl::MemoryStore store;
  auto x = nn::constant<float>(Shape{2}, 1.0f);
  io::Archive state;
  state.share("x", x);
  store.save(0, state);
  CHECK_FALSE(store.load(0));
  store.commit();
  x.data()[0] = 5.0f;
  CHECK(store.load(0)->get<float>("x").data()[0] == 1.0f);
}

TEST_CASE("State of another model is refused, and answers without a place for state") {
  io::Archive state;
  state.put("fc1.personal_A.weight", nn::constant<float>(Shape{8, 784}, 0.0f));
  const auto read = [&]<class T>(T, const std::string& name, const Shape& shape) {
    return message_of<DataError>([&] { fl::personal_tensor<T>(state, 3, name, shape); });
  };
  CHECK(read(0.0f, "fc1.personal_A.weight", {4, 784}) ==
        "client 3: personal state: fc1.personal_A.weight: expected (4, 784), got (8, 784)");
  CHECK(read(0.0, "fc1.personal_A.weight", {8, 784}) ==
        "client 3: personal state: fc1.personal_A.weight: expected F64, got F32");
  CHECK(read(0.0f, "fc2.personal_A.weight", {8, 784}) ==
        "client 3: personal state: expected fc2.personal_A.weight, which is not there");
  auto model = small_model<float>();
  fl::Server<float> server(model, CountingTurns{}, 1);
  server.begin_round();
  const auto broadcast = server.broadcast(0);
  CHECK(message_of<ConfigError>([&] {
          fl::answer(model, broadcast, CountingTurns{}, small_data().train, small_parts(1).samples(0),
                     momentum_client());
        }) == "counting: expected the client's state, which it keeps between turns, got none");
}

TEST_CASE("Clients' states that an earlier version wrote are theirs still") {
  const auto old = std::filesystem::path(LORU_SOURCE_DIR) / "tests/golden/run_7684c20";
  const data::Split digits = data::digits(data::Path{LORU_SOURCE_DIR} / "examples/data");
  const auto parts = data::dirichlet(digits.train, {.clients = 6, .alpha = 1.0, .seed = 3});
  auto model = nn::logistic<float>({.height = 8, .width = 8, .seed = 3});
  io::load(model, old / "model.safetensors");
  fl::Simulation simulation{
      model,
      fl::FedSALoRA{},
      digits,
      parts,
      {.cohort = 3, .seed = 3, .store = std::make_shared<fl::DiskStore>(old / "clients")}};
  const auto personal = simulation.personal_accuracy();
  CHECK(personal.clients == 6);
  CHECK(personal.mean == Approx(0.415));  // as in the run's summary.json
  CHECK(personal.global_mean == Approx(0.36166666666666664));
}

TEST_CASE("Client states on disk: a file that cannot be renamed keeps none of the others back") {
  const Folder folder;
  fl::DiskStore store(folder.path);
  io::Archive state;
  state.put("x", gaussian({3, 2}));
  const auto in_the_way = folder.path / "7.safetensors";
  io::make_directories(in_the_way / "mine");
  store.save(7, state);
  store.save(9, state);
  CHECK_THAT(message_of<IoError>([&] { store.commit(); }),
             StartsWith(in_the_way.string() + ": cannot write: "));
  CHECK(store.load(9));
  CHECK_THAT(message_of<IoError>([&] { store.clear(); }),
             StartsWith(in_the_way.string() + ": cannot remove: "));
  std::filesystem::remove_all(in_the_way);
  store.save(7, state);
  store.commit();
  CHECK(store.load(7));
}

TEST_CASE("Client states on disk: a folder that cannot be looked into is named") {
  const std::filesystem::path folder(std::string(300, 'x'));  // names have at most 255 bytes
  fl::DiskStore store(folder);
  CHECK_THAT(message_of<IoError>([&] { store.load(7); }),
             StartsWith((folder / "7.safetensors").string() + ": cannot read: "));
}
