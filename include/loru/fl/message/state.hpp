#pragma once
// A model's state in a message: its trained parameters and buffers, or some of them.

#include <functional>

#include <loru/fl/message/head.hpp>
#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::fl {

/// Chooses tensors of a model's state by name and role. Empty: all of them.
using Selection = std::function<bool(const nn::TensorId&)>;

inline bool chosen(const Selection& selection, const nn::TensorId& tensor) {
  return !selection || selection(tensor);
}

/// Whether a tensor of a server's state has the same shape for clients of any ranks.
inline bool not_factor(const nn::TensorId& tensor) { return !nn::is_factor(tensor.role); }
inline bool is_factor(const nn::TensorId& tensor) { return nn::is_factor(tensor.role); }

/// The name of a parameter's control variate in messages and states.
inline std::string control_name(const std::string& parameter) { return "control." + parameter; }

/// f(id, tensor) for each chosen tensor of the model's state. A tensor that f assigns replaces the model's.
template <class T, class D, class F>
void for_each_tensor(nn::Model<T, D>& model, const Selection& selection, F f) {
  model.visit({.parameter =
                   [&](const nn::TensorId& id, Variable<T, D>& v) {
                     if (!v.requires_grad() || !chosen(selection, id)) return;
                     Tensor<T, D> value = v.value();
                     f(id, value);
                     v.set_value(std::move(value));
                   },
               .buffer =
                   [&](const nn::TensorId& id, Tensor<T, D>& t) {
                     if (chosen(selection, id)) f(id, t);
                   }});
}

/// Adds the model's state: trained parameters and buffers.
template <class T, class D>
void put_state(io::Archive& archive, nn::Model<T, D>& model, const Selection& selection = {}) {
  auto entries = model.state();
  std::erase_if(entries, [&](const auto& entry) { return !chosen(selection, entry.id()); });
  std::vector<Tensor<T, D>> values;
  for (const auto& entry : entries) values.push_back(entry.value);
  const std::vector<Tensor<T>> here = to_host(values);
  for (std::size_t i = 0; i < entries.size(); ++i) archive.share(entries[i].name, here[i]);
}

/// Sets the model's state from the archive. Throws DataError for a tensor that is missing or of another shape
/// or type.
template <class T, class D>
void get_state(const io::Archive& archive, nn::Model<T, D>& model, const Selection& selection = {}) {
  const auto get = [&](const std::string& name, const Tensor<T, D>& t) {
    return to_layout(archive.get<T>(name, t.shape()), t.layout());
  };
  if constexpr (std::same_as<D, Cpu>) {
    for_each_tensor(model, selection, [&](const std::string& name, Tensor<T>& t) { t = get(name, t); });
  } else {
    std::vector<Tensor<T>> sent;
    for_each_tensor(model, selection,
                    [&](const std::string& name, Tensor<T, D>& t) { sent.push_back(get(name, t)); });
    const std::vector<Tensor<T, D>> there = to_device<D>(sent);
    auto next = there.begin();
    for_each_tensor(model, selection, [&](auto&, Tensor<T, D>& t) { t = *next++; });
  }
}

/// A client's update: the chosen tensors of the state, and the extra tensors that it sends. Serialised it is
/// a message.
template <class T, class D>
io::Archive update_archive(nn::Model<T, D>& model, const Head& head, Index samples, double loss,
                           const Selection& selection = {}, const io::Archive& extra = {}) {
  io::Archive archive("update");
  detail::put_head(archive, "update", head);
  archive.metadata()["samples"] = std::to_string(samples);
  archive.metadata()["loss"] = to_text(loss);
  put_state(archive, model, selection);
  for (const auto& [name, raw] : extra.tensors()) archive.put_raw(name, raw);
  return archive;
}

template <class T, class D>
Message update_message(nn::Model<T, D>& model, const Head& head, Index samples, double loss,
                       const Selection& selection = {}) {
  return io::serialise(update_archive(model, head, samples, loss, selection));
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_STATE(TEMPLATE, T)                                                                   \
  TEMPLATE void put_state<T, Cpu>(io::Archive&, nn::Model<T>&, const Selection&);                          \
  TEMPLATE void get_state<T, Cpu>(const io::Archive&, nn::Model<T>&, const Selection&);                    \
  TEMPLATE io::Archive update_archive<T, Cpu>(nn::Model<T>&, const Head&, Index, double, const Selection&, \
                                              const io::Archive&);                                         \
  TEMPLATE Message update_message<T, Cpu>(nn::Model<T>&, const Head&, Index, double, const Selection&);
#ifdef LORU_COMPILED
LORU_COMPILED_STATE(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
