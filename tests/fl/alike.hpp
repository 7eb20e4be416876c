#pragma once
// One federation in three ways: simulated on one thread and on three, and through bytes alone.

#include <optional>

#include "federation.hpp"

namespace loru_test {

/// A federation of six clients, three a round.
struct SixClients {
  static constexpr std::uint64_t seed = 9;
  static constexpr Index clients = 6, cohort = 3;

  fl::RankOptions ranks{};
  fl::Codecs codecs{};

  data::Partition parts() const { return small_parts(clients); }

  fl::Simulation<float> simulated(const nn::Model<float>& start, const fl::AnyAlgorithm<float>& algorithm,
                                  Index threads) const {
    return {start,
            algorithm,
            small_data(),
            parts(),
            {.cohort = cohort,
             .client = momentum_client(),
             .ranks = ranks,
             .codecs = codecs,
             .seed = seed,
             .threads = threads,
             .eval_every = 0}};
  }

  fl::ServerOptions server() const {
    std::vector<Index> sizes;
    for (const auto& part : parts()) sizes.push_back(static_cast<Index>(part.size()));
    return {.ranks = fl::ClientRanks(ranks, sizes, seed), .clients = clients, .codecs = codecs};
  }
};

/// The same through messages, with the bytes of its last round.
struct ThroughBytes {
  fl::AnyAlgorithm<float> algorithm;
  fl::Server<float> server;
  std::vector<nn::Model<float>> devices;
  std::vector<io::Archive> states{SixClients::clients};
  std::uint64_t uplink = 0, downlink = 0;

  ThroughBytes(nn::Model<float> start, fl::AnyAlgorithm<float> a, const SixClients& o)
      : algorithm{a}, server{start, a, o.seed, o.server()}, devices(o.clients, start) {}

  /// Returns the training loss.
  double round() {
    const auto parts = small_parts(SixClients::clients);
    uplink = downlink = 0;
    server.begin_round();
    for (const Index client :
         fl::sample_cohort(server.seed(), server.round(), SixClients::clients, SixClients::cohort)) {
      const auto at = static_cast<std::size_t>(client);
      const fl::Message down = server.broadcast(client);
      fl::Message up = fl::answer(devices[at], down, algorithm, small_data().train, parts[at],
                                  momentum_client(), states[at]);
      uplink += up.size();
      downlink += down.size();
      server.receive(std::move(up));
    }
    return server.finish_round();
  }
};

/// Requires the same bits in all three ways: losses, bytes, models and what clients keep. Returns the
/// model's.
template <class A>
fl::Message require_alike(const A& algorithm, const nn::Model<float>& start, const SixClients& o = {},
                          Index rounds = 5) {
  auto one = o.simulated(start, algorithm, 1), three = o.simulated(start, algorithm, 3);
  ThroughBytes bytes(start, algorithm, o);
  for (Index i = 0; i < rounds; ++i) {
    const fl::Round a = one.run_round(false), b = three.run_round(false);
    REQUIRE(a.train_loss == b.train_loss);
    REQUIRE(a.train_loss == bytes.round());
    REQUIRE(a.uplink_bytes == bytes.uplink);
    REQUIRE(a.downlink_bytes == bytes.downlink);
    REQUIRE(bits(one.model()) == bits(three.model()));
    REQUIRE(bits(one.model()) == bits(bytes.server.model()));
    for (Index k = 0; k < o.clients; ++k) {
      const auto kept = one.store().load(k), again = three.store().load(k);
      const io::Archive& own = bytes.states[static_cast<std::size_t>(k)];
      REQUIRE(kept.has_value() == (own.size() > 0));
      REQUIRE(again.has_value() == kept.has_value());
      if (!kept) continue;
      REQUIRE(io::serialise(*kept) == io::serialise(own));
      REQUIRE(io::serialise(*kept) == io::serialise(*again));
    }
  }
  const auto personal = one.personal_accuracy({.images = 10});
  REQUIRE(personal.clients == o.clients);
  REQUIRE(personal.mean == three.personal_accuracy({.images = 10}).mean);
  REQUIRE(one.evaluate().loss == three.evaluate().loss);
  return bits(one.model());
}

/// The small model as the algorithm has it.
template <class A>
nn::Model<float> start_of(const A& algorithm, Index rank = 2) {
  auto model = small_model<float>();
  fl::AnyAlgorithm<float>(algorithm).parametrise(model, {.rank = rank, .alpha = 3.0});
  return model;
}

}  // namespace loru_test
