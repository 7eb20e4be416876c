#pragma once
// One federation in three ways: simulated on one thread and on three, and through bytes alone.

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
                                  Index threads) const;
  fl::ServerOptions server() const;
};

/// The same through messages, with the bytes of its last round.
struct ThroughBytes {
  fl::AnyAlgorithm<float> algorithm;
  fl::Server<float> server;
  std::vector<nn::Model<float>> devices;
  std::vector<io::Archive> states{SixClients::clients};
  std::uint64_t uplink = 0, downlink = 0;

  ThroughBytes(nn::Model<float> start, fl::AnyAlgorithm<float> a, const SixClients& o);

  /// Returns the training loss.
  double round();
};

/// Requires the same bits in all three ways: losses, bytes, models and what clients keep. Returns the
/// model's.
fl::Message require_alike(const fl::AnyAlgorithm<float>& algorithm, const nn::Model<float>& start,
                          const SixClients& o = {}, Index rounds = 5);

/// The small model as the algorithm has it.
nn::Model<float> start_of(const fl::AnyAlgorithm<float>& algorithm, Index rank = 2);

}  // namespace loru_test
