// Checkpoints of a server, of which the first byte says the code and the algorithm. After a refusal the
// server is what it was; otherwise it does another round.

#include "target.hpp"

#include "federation.hpp"

namespace {

using namespace loru;

fl::Message saved(fl::Server<float>& server) {
  io::Archive archive("checkpoint");
  server.save(archive);
  return io::serialise(archive);
}

}  // namespace

LORU_FUZZ(bytes) {
  static std::vector<fl::Server<float>> all = [] {
    std::vector<fl::Server<float>> list;
    for (const auto& [algorithm, code] : fuzz::set_ups()) list.push_back(fuzz::server(algorithm, code));
    return list;
  }();
  if (bytes.empty()) return;
  fl::Server<float> server = all[fuzz::set_up_of(bytes)];
  const fl::Message before = saved(server);
  const io::Archive archive = io::parse(bytes.subspan(1), "fuzz");
  try {
    server.restore(archive);
  } catch (const loru::Error&) {
    if (saved(server) != before) std::abort();
    return;
  }
  server.begin_round();
  server.broadcast(0);
  server.broadcast(1);
}
