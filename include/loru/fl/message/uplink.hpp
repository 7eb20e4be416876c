#pragma once
// Coded updates: the difference from what the client received.

#include <optional>

#include <loru/fl/message/dense.hpp>
#include <loru/fl/message/sparse.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

inline constexpr std::string_view feedback_prefix = "codec.feedback.";

/// The tensor from which the change is counted: the broadcast's of the same name and shape; null if there is
/// none.
template <class T>
const io::RawTensor* same_tensor(const io::Archive& broadcast, const std::string& name, const Shape& shape) {
  if (!broadcast.contains(name)) return nullptr;
  const io::RawTensor& raw = broadcast.raw(name);
  return raw.dtype == io::dtype_of<T> && raw.shape == shape && !raw.blocks ? &raw : nullptr;
}

/// A copy of the same.
template <class T>
std::optional<Tensor<T>> base_of(const io::Archive& broadcast, const std::string& name, const Shape& shape) {
  if (!same_tensor<T>(broadcast, name, shape)) return std::nullopt;
  return broadcast.get<T>(name);
}

/// What top_k left out in the client's earlier turns, if it still applies: not for factors that have started
/// anew since.
template <class T>
std::optional<Tensor<T>> feedback(const io::Archive& state, const nn::TensorId& tensor, const Shape& shape,
                                  Index factors_since) {
  const std::string key = std::string(feedback_prefix) + tensor.name;
  if (!state.contains(key) || state.raw(key).dtype != io::dtype_of<T> || state.raw(key).shape != shape)
    return std::nullopt;
  if (is_factor(tensor) && number<Index>(state, "codec.round") <= factors_since) return std::nullopt;
  return state.get<T>(key);
}

/// Replaces a tensor of the update by the largest numbers of its change, and keeps the others in the client's
/// state. The tensor stays as it is if the client received none of its name and shape, or if no bytes would
/// be saved.
template <class T>
void encode_top_k(io::Archive& update, const nn::TensorId& tensor, const io::Archive& broadcast, double keep,
                  Index factors_since, io::Archive& state) {
  const std::string& name = tensor.name;
  Tensor<T> change = update.get<T>(name);
  const std::string kept = std::string(feedback_prefix) + name;
  const auto left_out = feedback<T>(state, tensor, change.shape(), factors_since);
  state.erase(kept);
  const auto base = base_of<T>(broadcast, name, change.shape());
  const Index k = kept_numbers(keep, change.size());
  if (!base || !sparse_pays<T>(k, change.size())) return;
  require<DivergedError>(all_finite(change), update.origin(), ": ", name, " is not finite");
  add_scaled(change, T(-1), *base);
  if (left_out) add_scaled(change, T(1), *left_out);
  const auto index = largest<T>(change.span(), k);
  update.erase(name);
  put_sparse(update, name, change, index);
  for (const std::int32_t at : index) change.data()[at] = T(0);
  state.share(kept, change);
}

}  // namespace detail

/// Codes the trained parameters of an update as its broadcast asks (metadata `uplink`, `keep`, `factors`):
/// x_k − x, x being what the client received, or x_k itself where it received nothing of that name and shape.
/// What top_k leaves out is kept in the client's state and added to its next change. int8 draws from stream
/// (seed, uplink, round, client). Throws DivergedError unless all numbers are finite, DataError for a request
/// or state that is malformed.
template <class T>
void encode_update(io::Archive& update, const io::Archive& broadcast, const Head& head,
                   const std::vector<nn::TensorId>& parameters, io::Archive& state) {
  if (!broadcast.metadata().contains("uplink")) return;
  const Code code = code_of(detail::text(broadcast, "uplink"));
  const rng::Stream stream(head.seed, rng::Purpose::uplink, static_cast<std::uint32_t>(head.round),
                           static_cast<std::uint32_t>(head.client));
  if (code == Code::top_k) {
    const double keep = detail::number<double>(broadcast, "keep");
    require<DataError>(keep > 0.0 && keep <= 1.0,
                       "message: metadata 'keep': expected a number in (0, 1], got ", keep);
    const auto factors_since = detail::number<Index>(broadcast, "factors");
    for (const nn::TensorId& tensor : parameters)
      if (update.contains(tensor.name))
        detail::encode_top_k<T>(update, tensor, broadcast, keep, factors_since, state);
    state.metadata()["codec.round"] = std::to_string(head.round);
    return;
  }
  std::uint32_t position = 0;
  for (const std::string& name : parameters) {
    ++position;
    if (!update.contains(name)) continue;
    Tensor<T> x = update.get<T>(name);
    if (const auto base = detail::base_of<T>(broadcast, name, x.shape())) add_scaled(x, T(-1), *base);
    put_dense(update, name, x, code, stream.fork(position));
  }
}

/// Decodes an update, up to what the code lost. `received` is what the client received. Tensors that are not
/// coded stay as they are. Throws DataError for coded tensors that are malformed.
template <class T>
io::Archive decode_update(const io::Archive& update, const io::Archive& received) {
  io::Archive plain(update.origin());
  plain.metadata() = update.metadata();
  const auto part = [&](std::string_view name, std::string_view suffix) {
    return name.ends_with(suffix) ? std::string(name.substr(0, name.size() - suffix.size())) : std::string();
  };
  for (const auto& [name, raw] : update.tensors()) {
    const std::string scaled = part(name, ".scale"), valued = part(name, ".value"),
                      stem = part(name, ".index");
    if (!scaled.empty() && update.contains(scaled) && dense_coded(update.raw(scaled))) continue;
    if (!valued.empty() && sparse_coded(update, valued)) continue;
    if (!stem.empty() && sparse_coded(update, stem)) {
      Tensor<T> x = received.get<T>(stem);
      for_each_sparse<T>(update, stem, x.size(), [&](Index at, T value) { x.data()[at] += value; });
      plain.share(stem, x);
    } else if (dense_coded(raw)) {
      Tensor<T> x = get_dense<T>(update, name);
      if (const auto base = detail::base_of<T>(received, name, x.shape())) add_scaled(x, T(1), *base);
      plain.share(name, x);
    } else {
      plain.put_raw(name, raw);
    }
  }
  return plain;
}

}  // namespace loru::inline LORU_ISA::fl
