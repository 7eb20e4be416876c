#pragma once
// Tensors of the model that stay in the client's state.

#include <loru/fl/algorithm.hpp>
#include <loru/fl/client/store.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

inline constexpr std::string_view own_prefix = "own.";

/// f(name, tensor) for each tensor of the model that stays in the client's state; for none without a
/// selection.
template <class T, class D, class F>
void for_each_own(nn::Model<T, D>& model, const Selection& own, F f) {
  if (own) for_each_tensor(model, own, f);
}

}  // namespace detail

/// Whether a client's state has tensors whose names begin with the prefix.
inline bool keeps(const io::Archive& state, std::string_view prefix) {
  const auto at = state.tensors().lower_bound(prefix);
  return at != state.tensors().end() && at->first.starts_with(prefix);
}

/// Sets the model's tensors that the client's state holds, as `own.<tensor>`; none in the first turn. Throws
/// DataError for the state of another model.
template <class T, class D>
void get_own(const Turn<T, D>& turn, const Selection& own) {
  if (!keeps(turn.state, detail::own_prefix)) return;
  detail::for_each_own(turn.model, own, [&](const std::string& name, Tensor<T, D>& t) {
    const std::string kept = std::string(detail::own_prefix) + name;
    t = to_device<D>(
        to_layout(personal_tensor<T>(turn.state, turn.head.client, kept, t.shape()), t.layout()));
  });
}

/// While one is alive the model has the tensors of the client's state; in the first turn, the tensors that it
/// had before. keep() puts them into the state. Afterwards the model has its former tensors again.
template <class T, class D = Cpu>
class OwnTensors {
 public:
  /// Throws DataError for the state of another model.
  OwnTensors(const Turn<T, D>& turn, const Selection& own) : turn_{turn}, own_{own} {
    detail::for_each_own(turn.model, own, [&](auto&, Tensor<T, D>& t) {
      before_.push_back(t);
      t = clone(t);
    });
    get_own(turn, own);
  }
  OwnTensors(const OwnTensors&) = delete;
  OwnTensors& operator=(const OwnTensors&) = delete;
  ~OwnTensors() {
    auto next = before_.begin();
    detail::for_each_own(turn_.model, own_, [&](auto&, Tensor<T, D>& t) { t = *next++; });
  }

  void keep() {
    detail::for_each_own(turn_.model, own_, [&](const std::string& name, Tensor<T, D>& t) {
      turn_.state.put(std::string(detail::own_prefix) + name, to_host(t));
    });
  }

 private:
  const Turn<T, D>& turn_;
  Selection own_;
  std::vector<Tensor<T, D>> before_;
};

}  // namespace loru::inline LORU_ISA::fl
