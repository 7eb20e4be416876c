// Writes the seeds of the targets checkpoint, update and broadcast: write_seeds FOLDER. To be run again when
// messages change.

#include <cstddef>

#include <loru/io/file.hpp>

namespace fuzz {
using Bytes = std::span<const std::byte>;
}

#include "federation.hpp"

namespace {

/// A good message after the byte that says how the federation is set up.
void write(const std::filesystem::path& folder, std::size_t set_up, const loru::fl::Message& message) {
  std::vector<std::byte> bytes{static_cast<std::byte>(set_up)};
  bytes.insert(bytes.end(), message.begin(), message.end());
  loru::io::make_directories(folder);
  loru::io::write_file(folder / std::to_string(set_up), bytes);
}

}  // namespace

int main(int, char** argv) {
  const std::filesystem::path folder = argv[1];
  std::size_t set_up = 0;
  for (const auto& [algorithm, code] : fuzz::set_ups()) {
    auto server = fuzz::server(algorithm, code);
    auto model = fuzz::model();
    loru::io::Archive state("state");
    server.begin_round();
    server.receive(fuzz::answer(model, server.broadcast(0), algorithm, state));
    server.finish_round();
    loru::io::Archive checkpoint("checkpoint");
    server.save(checkpoint);
    write(folder / "checkpoint", set_up, loru::io::serialise(checkpoint));
    server.begin_round();
    const auto broadcast = server.broadcast(0);
    write(folder / "broadcast", set_up, broadcast);
    write(folder / "update", set_up++, fuzz::answer(model, broadcast, algorithm, state));
  }
}
