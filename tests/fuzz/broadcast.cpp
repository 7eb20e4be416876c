// Broadcasts to a client that has done a round already; the first byte says the code and the algorithm. After
// a refusal the client's model and state are what they were.

#include "target.hpp"

#include "federation.hpp"

namespace {

using namespace loru;

struct Client {
  fl::AnyAlgorithm<float> algorithm;
  nn::Model<float> model = fuzz::model();
  io::Archive state{"state"};

  explicit Client(const fuzz::SetUp& set_up) : algorithm{set_up.algorithm} {
    fl::Server<float> server = fuzz::server(algorithm, set_up.code);
    server.begin_round();
    server.receive(fuzz::answer(model, server.broadcast(0), algorithm, state));
    server.finish_round();
  }
};

}  // namespace

LORU_FUZZ(bytes) {
  static const std::vector<Client> all(fuzz::set_ups().begin(), fuzz::set_ups().end());
  if (bytes.empty()) return;
  Client client = all[fuzz::set_up_of(bytes)];
  const fl::Message before = fuzz::bits(client.model), state = io::serialise(client.state);
  try {
    fuzz::answer(client.model, bytes.subspan(1), client.algorithm, client.state);
  } catch (const loru::Error&) {
    if (fuzz::bits(client.model) != before || io::serialise(client.state) != state) std::abort();
  }
}
