// The two ends of a federation, joined by nothing but bytes: what a device and a server of your own would
// run. Each client keeps its own model and learns of merges from the messages. The result is the simulator's,
// bit for bit.

#include <cstdint>
#include <cstdio>
#include <loru/loru.hpp>

using namespace loru;

namespace {

constexpr Index clients = 6, cohort = 3, rounds = 6;
constexpr std::uint64_t seed = 1;

/// FNV-1a over every tensor of the model.
std::uint64_t digest(nn::Model<float>& model) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte b : io::serialise(io::to_archive(model)))
    hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3u;
  return hash;
}

// docs: begin model
/// Both ends build the same model from the same seed; the frozen weights are never sent.
nn::Model<float> initial_model() {
  auto model = nn::mlp<float>({.height = 8, .width = 8, .seed = seed});
  lowrank::factorize(model, {.rank = 4, .alpha = 4.0, .layers = {"fc1", "fc2"}, .seed = seed});
  return model;
}
// docs: end model

}  // namespace

int main() {
  const data::Split digits = data::digits();
  const auto parts = data::iid(digits.train, {.clients = clients, .seed = seed});
  // docs: begin ends
  const fl::FedLoRU algorithm{.tau = 2};
  const fl::ClientOptions options{.batch = 16, .optimizer = {.learning_rate = 0.05, .momentum = 0.9}};

  fl::Server<float> server(initial_model(), algorithm, seed);
  std::vector<nn::Model<float>> devices;
  for (Index k = 0; k < clients; ++k) devices.push_back(initial_model());
  // docs: end ends

  std::uint64_t up = 0, down = 0;
  // docs: begin rounds
  for (Index round = 1; round <= rounds; ++round) {
    server.begin_round();
    for (const Index k : fl::sample_cohort(seed, round, clients, cohort)) {
      const auto at = static_cast<std::size_t>(k);
      const fl::Message broadcast = server.broadcast(k);  // ... over the wire ...
      fl::Message update =
          fl::answer(devices[at], broadcast, algorithm, digits.train, parts.samples(k), options);
      down += broadcast.size();
      up += update.size();
      server.receive(std::move(update));  // ... and back
    }
    const double loss = server.finish_round();
    std::printf("round %td  loss %.4f  merges %td\n", round, loss, server.merges());
  }
  // docs: end rounds

  fl::Simulation simulation{
      initial_model(),
      algorithm,
      digits,
      parts,
      {.cohort = cohort, .client = options, .seed = seed, .threads = 2, .eval_every = 0}};
  std::uint64_t simulated = 0;
  for (const fl::Round& round : simulation.rounds(rounds))
    simulated += round.uplink_bytes + round.downlink_bytes;

  const std::uint64_t ours = digest(server.model()), theirs = digest(simulation.model());
  std::printf("bytes up and down  %ju, simulated %ju\n", std::uintmax_t{up + down},
              std::uintmax_t{simulated});
  std::printf("digest of the model  %016jx, simulated %016jx\n", std::uintmax_t{ours},
              std::uintmax_t{theirs});
  return ours == theirs && up + down == simulated ? 0 : 1;
}
