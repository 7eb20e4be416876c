// Dense rounds before low-rank ones.
#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

constexpr std::uint64_t warm_seed = 9;
constexpr Index warm_clients = 6, warm_cohort = 3, warmup = 2;

fl::SimulationOptions warm_options(Index threads, bool warmed) {
  return {.cohort = warm_cohort,
          .client = momentum_client(),
          .seed = warm_seed,
          .threads = threads,
          .eval_every = 0,
          .rounds_before = warmed ? warmup : 0,
          .weights_known = !warmed};
}

/// The model after the dense rounds, in the algorithm's parametrisation.
template <class A>
nn::Model<float> warmed(const A& algorithm) {
  fl::Simulation<float> dense{small_model<float>(), fl::FedAvg{}, small_data(), small_parts(warm_clients),
                              warm_options(1, false)};
  for (const fl::Round& round : dense.rounds(warmup)) REQUIRE(round.index <= warmup);
  nn::Model<float> model = dense.model();
  fl::AnyAlgorithm<float>(algorithm).parametrise(model, {.rank = 2, .alpha = 3.0});
  return model;
}

}  // namespace

TEST_CASE("After a warm-up rounds count on, and every client gets the frozen weights once") {
  const fl::FedLoRU algorithm{.tau = 2};
  const auto parts = small_parts(warm_clients);
  auto start = warmed(algorithm);
  fl::Simulation<float> simulation{start, algorithm, small_data(), parts, warm_options(1, true)};
  fl::Simulation<float> on_threads{start, algorithm, small_data(), parts, warm_options(3, true)};
  fl::Server<float> server(start, algorithm, warm_seed,
                           {.clients = warm_clients, .rounds_before = warmup, .weights_known = false});
  auto cold =
      small_factored<float>();  // the client's own weights are those of the warm_seed, before the warm-up
  std::vector<nn::Model<float>> devices(warm_clients, cold);
  std::set<Index> seen;
  for (Index r = warmup + 1; r <= warmup + 5; ++r) {
    const fl::Round a = simulation.run_round(false), b = on_threads.run_round(false);
    server.begin_round();
    CHECK(server.round() == r);
    CHECK(a.index == r);
    CHECK(a.cohort == fl::sample_cohort(warm_seed, r, warm_clients, warm_cohort));
    std::uint64_t downlink = 0;
    for (const Index client : a.cohort) {
      const auto at = static_cast<std::size_t>(client);
      const fl::Message down = server.broadcast(client);
      downlink += down.size();
      const io::Archive archive = io::borrow(down);
      if (seen.insert(client).second) {
        auto global = frozen_weights(server.model());
        CHECK(same_bits(archive.get<float>("fc2.weight"), global.at("fc2")));
      } else if (server.merges() == 0) {
        CHECK_FALSE(archive.contains("fc2.weight"));
      }
      server.receive(fl::answer(devices[at], down, algorithm, small_data().train, parts.samples(client),
                                momentum_client()));
      require_same_weights(devices[at], server.model());
    }
    server.finish_round();
    CHECK(a.downlink_bytes == downlink);
    CHECK(a.merges == (r - warmup >= 4 ? 2 : r - warmup >= 2 ? 1 : 0));
    REQUIRE(bits(simulation.model()) == bits(on_threads.model()));
    REQUIRE(bits(simulation.model()) == bits(server.model()));
  }
}

TEST_CASE("Every algorithm that goes on from trained weights begins where the dense rounds ended") {
  fl::Simulation<double> dense{small_model<double>(), fl::FedAvg{}, small_data(), small_parts(warm_clients),
                               warm_options(1, false)};
  for ([[maybe_unused]] const fl::Round& round : dense.rounds(warmup)) {}
  const auto batch = data::gather<double>(small_data().train, small_parts(warm_clients).samples(0));
  const auto output = [&](nn::Model<double> model) {
    return model(Variable<double>(batch.inputs), nn::Pass{}).value();
  };
  fl::for_each_algorithm([&]<class A>(A algorithm) {
    INFO(A::name);
    const fl::AnyAlgorithm<double> any(algorithm);
    nn::Model<double> model = dense.model();
    const Index whole = any.low_rank && A::name == "fedhm" ? 16 : 2;  // fedhm's rank truncates
    any.parametrise(model, {.rank = whole, .small_layers = lowrank::SmallLayers::factor});
    const bool same = difference(output(model), output(dense.model())) < 1e-9;
    CHECK(same ==
          (!any.begins_anew || A::name == "local"));  // local's model has them, its clients do not get them
  });
}
