#pragma once
// What server and clients send each other: archives of named tensors, really serialised, so that bytes are counted and
// not computed.
//
// A broadcast holds the state (trained parameters and buffers by their names) and, for merges that the client has
// not seen, either a layer's weight (`<layer>.weight`) or the factors of every missed merge
// (`merge.<number>.<layer>.lora_A.weight` and `..._B.weight`). An update holds the state after training.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/text.hpp>
#include <loru/io/safetensors.hpp>
#include <loru/lowrank/nested.hpp>

namespace loru::inline LORU_ISA::fl {

using Message = std::vector<std::byte>;

/// The head of every message: which round of which federation, and whose.
struct Head {
  std::uint64_t seed = 0;
  Index round = 0;
  Index client = 0;
};

/// An update as the server sees it: the state after training, the client's samples and its mean training loss.
struct Update {
  Head head;
  Index samples = 0;
  double loss = 0.0;
  io::Archive state;
};

namespace detail {

inline const std::string& text(const io::Archive& archive, const std::string& key) {
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

/// A list of the factored layers' ranks, in the model's order: `ranks` the client's, `layer_ranks` the server's.
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

}  // namespace detail

/// Chooses tensors of a model's state by name. Empty: all of them.
using Selection = std::function<bool(const std::string&)>;

inline bool chosen(const Selection& selection, const std::string& name) {
  return !selection || selection(name);
}

/// The name of a parameter's control variate in messages and memories.
inline std::string control_name(const std::string& parameter) { return "control." + parameter; }

/// Whether a tensor of the state is a down-projection A or an up-projection B of a factored layer.
inline bool is_lora_a(std::string_view tensor) { return tensor.ends_with("lora_A.weight"); }
inline bool is_lora_b(std::string_view tensor) { return tensor.ends_with("lora_B.weight"); }

/// Whether a tensor of a server's state does not depend on ranks.
inline bool not_factor(std::string_view tensor) {
  return !is_lora_a(tensor) && !is_lora_b(tensor) && !tensor.ends_with("product_U.weight") &&
         !tensor.ends_with("product_V.weight");
}

inline bool is_factor(std::string_view tensor) { return !not_factor(tensor); }

/// Adds the model's state: trained parameters and buffers.
template <class T, class D>
void put_state(io::Archive& archive, nn::Model<T, D>& model, const Selection& selection = {}) {
  for (const auto& [name, tensor, role] : model.state())
    if (chosen(selection, name)) archive.share(name, to_host(tensor));
}

/// Sets the model's state from the archive. Throws DataError for a tensor that is missing or of another shape or type.
template <class T, class D>
void get_state(const io::Archive& archive, nn::Model<T, D>& model, const Selection& selection = {}) {
  const auto read = [&](const std::string& name, const Tensor<T, D>& like) {
    return to_device<D>(to_layout(archive.get<T>(name, like.shape()), like.layout()));
  };
  model.visit({.parameter =
                   [&](const std::string& name, Variable<T, D>& v) {
                     if (v.requires_grad() && chosen(selection, name)) v.set_value(read(name, v.value()));
                   },
               .buffer =
                   [&](const std::string& name, Tensor<T, D>& t) {
                     if (chosen(selection, name)) t = read(name, t);
                   }});
}

/// A client's update: the chosen tensors of the state, and more. As a message it is serialised.
template <class T, class D>
io::Archive update_archive(nn::Model<T, D>& model, const Head& head, Index samples, double loss,
                           const Selection& selection = {}, const io::Archive& more = {}) {
  io::Archive archive("update");
  detail::put_head(archive, "update", head);
  archive.metadata()["samples"] = std::to_string(samples);
  archive.metadata()["loss"] = to_text(loss);
  put_state(archive, model, selection);
  for (const auto& [name, raw] : more.tensors()) archive.put_raw(name, raw);
  return archive;
}

template <class T, class D>
Message update_message(nn::Model<T, D>& model, const Head& head, Index samples, double loss,
                       const Selection& selection = {}) {
  return io::serialise(update_archive(model, head, samples, loss, selection));
}

/// Reads an update message, taking over its bytes. Throws DataError.
inline Update read_update(Message&& message) {
  Update update;
  update.state = io::parse(std::move(message), "update");
  update.head = detail::get_head(update.state, "update");
  update.samples = detail::number<Index>(update.state, "samples");
  update.loss = detail::number<double>(update.state, "loss");
  require<DataError>(update.samples > 0, "message: update of client ", update.head.client,
                     ": expected samples > 0, got ", update.samples);
  require<DataError>(std::isfinite(update.loss), "message: update of client ", update.head.client,
                     ": expected a finite loss, got ", update.loss);
  return update;
}

#ifdef LORU_COMPILED
extern template void get_state<float, Cpu>(const io::Archive&, nn::Model<float>&, const Selection&);
extern template io::Archive update_archive<float, Cpu>(nn::Model<float>&, const Head&, Index, double,
                                                       const Selection&, const io::Archive&);
#endif

}  // namespace loru::fl
