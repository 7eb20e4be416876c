// Updates, of which the first byte says the code and the algorithm. After a refusal the round ends as if
// nothing had come.

#include "target.hpp"

#include "federation.hpp"

namespace {

using namespace loru;

/// A server in its second round, the client's broadcast sent, and what the round comes to without it.
struct Started {
  fl::Server<float> server;
  fl::Message other, without;

  explicit Started(const fuzz::SetUp& set_up) : server(fuzz::server(set_up.algorithm, set_up.code)) {
    const auto& algorithm = set_up.algorithm;
    auto first = fuzz::model(), second = fuzz::model();
    io::Archive of_first("state"), of_second("state");
    server.begin_round();
    server.receive(fuzz::answer(first, server.broadcast(0), algorithm, of_first));
    server.finish_round();
    server.begin_round();
    server.broadcast(0);
    other = fuzz::answer(second, server.broadcast(1), algorithm, of_second);
    without = finished(server);
  }

  fl::Message finished(fl::Server<float> copy) const {
    copy.receive(fl::Message(other));
    copy.finish_round();
    return fuzz::bits(copy.model());
  }
};

}  // namespace

LORU_FUZZ(bytes) {
  static const std::vector<Started> all(fuzz::set_ups().begin(), fuzz::set_ups().end());
  if (bytes.empty()) return;
  const Started& start = all[fuzz::set_up_of(bytes)];
  fl::Server<float> server = start.server;
  try {
    server.receive(fuzz::copy(bytes.subspan(1)));
  } catch (const loru::Error&) {
    if (start.finished(std::move(server)) != start.without) std::abort();
    return;
  }
  start.finished(std::move(server));
}
