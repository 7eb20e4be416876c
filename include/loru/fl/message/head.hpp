#pragma once
// Messages between server and clients: archives of named tensors, serialised, so that bytes are counted and
// not estimated.
//
// A broadcast holds the state (trained parameters and buffers by their names) and, for merges that the client
// has not seen, either a layer's weight (`<layer>.weight`) or the factors of every missed merge
// (`merge.<number>.<layer>.lora_A.weight` and `..._B.weight`). An update holds the state after training.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/text.hpp>
#include <loru/io/safetensors.hpp>

namespace loru::inline LORU_ISA::fl {

using Message = std::vector<std::byte>;
/// A message that several hold; none where there is none.
using Bytes = std::shared_ptr<const Message>;

/// The head of every message: its federation, round and client.
struct Head {
  std::uint64_t seed = 0;
  Index round = 0;
  Index client = 0;
};

/// An update as the server sees it: the state after training, the client's samples and its mean training
/// loss.
struct Update {
  Head head;
  Index samples = 0;
  double loss = 0.0;
  io::Archive state;
};

namespace detail {

inline const std::string& text(const io::Archive& archive, std::string_view key) {
  const auto found = archive.metadata().find(key);
  require<DataError>(found != archive.metadata().end(), "message: expected metadata '", key, "'");
  return found->second;
}

template <class Number>
Number number(const std::string& key, std::string_view text) {
  const std::optional<Number> value = parse_number<Number>(text);
  require<DataError>(value.has_value(), "message: metadata '", key, "': expected a number, got '", text, "'");
  return *value;
}

template <class Number>
Number number(const io::Archive& archive, const std::string& key) {
  return number<Number>(key, text(archive, key));
}

/// A list of the factored layers' ranks, in the model's order: `ranks` the client's, `layer_ranks` the
/// server's.
inline void put_ranks(io::Archive& archive, const char* key, std::span<const Index> ranks) {
  std::string list;
  for (const Index rank : ranks) {
    if (!list.empty()) list += ',';
    list += std::to_string(rank);
  }
  archive.metadata()[key] = list;
}

inline std::vector<Index> get_ranks(const io::Archive& archive, const char* key) {
  std::vector<Index> ranks;
  for (std::string_view rest = text(archive, key); !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    ranks.push_back(number<Index>(key, rest.substr(0, comma)));
    require<DataError>(ranks.back() >= 1, "message: metadata '", key, "': expected ranks >= 1, got ",
                       ranks.back());
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return ranks;
}

inline void put_head(io::Archive& archive, const char* kind, const Head& head) {
  archive.metadata() = {{"kind", kind},
                        {"seed", std::to_string(head.seed)},
                        {"round", std::to_string(head.round)},
                        {"client", std::to_string(head.client)}};
}

inline Head get_head(const io::Archive& archive, const char* kind) {
  const auto found = archive.metadata().find("kind");
  require<DataError>(found != archive.metadata().end() && found->second == kind, "message: expected kind '",
                     kind, "', got '", found == archive.metadata().end() ? "" : found->second, "'");
  const Head head{number<std::uint64_t>(archive, "seed"), number<Index>(archive, "round"),
                  number<Index>(archive, "client")};
  require<DataError>(head.round >= 1 && head.client >= 0,
                     "message: expected a round from 1 and a client from 0, got ", head.round, " and ",
                     head.client);
  return head;
}

/// Samples and loss of an update whose head and state are there.
inline void read_counts(Update& update) {
  update.samples = number<Index>(update.state, "samples");
  update.loss = number<double>(update.state, "loss");
  require<DataError>(update.samples > 0, "expected samples > 0, got ", update.samples);
  require<DataError>(std::isfinite(update.loss), "expected a finite loss, got ", update.loss);
}

/// f(), whose DataErrors say that they are of the client's update.
template <class F>
void of_update(std::string_view who, Index client, F f) {
  try {
    f();
  } catch (const DataError& error) {
    fail<DataError>(who, ": update of client ", client, ": ", error.what());
  }
}

}  // namespace detail

/// Reads an update message, taking over its bytes. Throws DataError.
inline Update read_update(Message&& message) {
  Update update;
  update.state = io::parse(std::move(message), "update");
  update.head = detail::get_head(update.state, "update");
  detail::of_update("message", update.head.client, [&] { detail::read_counts(update); });
  return update;
}

}  // namespace loru::inline LORU_ISA::fl
