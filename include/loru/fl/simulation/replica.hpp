#pragma once
// What other processes know of the server's model.

#include <algorithm>
#include <map>
#include <string>

#include <loru/fl/message/state.hpp>

namespace loru::inline LORU_ISA::fl {

/// Tells other processes, which have built the same model, what has changed in it: frozen weights when they
/// are new tensors, trained parameters and buffers when their bits differ. Keeps handles of the former and a
/// copy of the latter.
template <class T, class D = Cpu>
class Replica {
 public:
  /// The others have the model as it is now.
  explicit Replica(nn::Model<T, D>& model) { changes(model); }

  /// The tensors that changed since the last call, by name.
  io::Archive changes(nn::Model<T, D>& model);

  /// The other side: takes over what has changed. Throws DataError for tensors of another model.
  static void apply(const io::Archive& changes, nn::Model<T, D>& model);

 private:
  std::map<std::string, Variable<T, D>> frozen_;
  std::map<std::string, Message> state_;
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
io::Archive Replica<T, D>::changes(nn::Model<T, D>& model) {
  io::Archive changed("model");
  for (auto& p : model.parameters()) {
    if (p.value.requires_grad()) continue;
    const auto [known, added] = frozen_.try_emplace(p.name, p.value.constant());
    const Variable<T, D>& before = known->second;
    if (added || (before.blocks() == p.value.blocks() &&
                  (before.blocks() || before.value().data() == p.value.value().data())))
      continue;
    known->second = p.value.constant();
    changed.share(p.name, to_host(p.value.decoded()));
  }
  io::Archive state("state");
  put_state(state, model);
  for (const auto& [name, raw] : state.tensors()) {
    Message& known = state_[name];
    if (std::ranges::equal(known, raw.bytes)) continue;
    known.assign(raw.bytes.begin(), raw.bytes.end());
    changed.put_raw(name, raw);
  }
  return changed;
}

template <class T, class D>
void Replica<T, D>::apply(const io::Archive& changes, nn::Model<T, D>& model) {
  for (auto& p : model.parameters()) {
    if (p.value.requires_grad() || !changes.contains(p.name)) continue;
    const Tensor<T> value = changes.get<T>(p.name, p.value.shape());
    p.value.set_value(to_device<D>(to_layout(value, p.value.layout())));
  }
  get_state(changes, model, [&](const nn::TensorId& tensor) { return changes.contains(tensor.name); });
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_REPLICA(TEMPLATE, T) TEMPLATE class Replica<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_REPLICA(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
