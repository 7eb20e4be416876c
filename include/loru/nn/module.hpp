#pragma once
// Modules and models: values that map variables to variables and name their parameters.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <loru/autograd/autograd.hpp>
#include <loru/nn/role.hpp>

namespace loru::inline LORU_ISA::nn {

template <class T, class D>
class Weight;

/// The sequences that the rows of a pass are, for layers that look from row to row. Their tokens, on a
/// device, are in the derived Tokens (nn/tokens.hpp).
struct PassSequences {
  Sequences bounds;
  virtual ~PassSequences() = default;
};

/// What the layers of a decoder remember from pass to pass (nn/cache.hpp).
struct PassCache {
  virtual ~PassCache() = default;
};

/// How a forward pass runs. The default evaluates: no dropout, running statistics.
struct Pass {
  bool training = false;
  /// Whether BatchNorm moves its running statistics when training.
  bool update_statistics = true;
  rng::Stream stream{0, rng::Purpose::dropout};
  std::uint32_t dropouts = 0;
  /// The sequences of the batch, if it is one of sequences; they must outlive the pass.
  const PassSequences* sequences = nullptr;
  /// What was read before the sequence of this pass, if it goes on from there.
  PassCache* cache = nullptr;

  /// The stream of the next dropout layer of this pass.
  rng::Stream next_dropout() { return stream.fork(dropouts++); }

  /// A training pass whose dropout masks come from the stream.
  static Pass train(const rng::Stream& stream = rng::Stream{0, rng::Purpose::dropout}) {
    return {.training = true, .update_statistics = true, .stream = stream};
  }
};

/// The functions that Module::visit calls, each with a full name; unset functions are skipped. A function of
/// a name may also take the TensorId, which has the tensor's role.
template <class T, class D = Cpu>
struct Visitor {
  std::function<void(const TensorId&, Variable<T, D>&)> parameter{};
  std::function<void(const TensorId&, Tensor<T, D>&)> buffer{};
  std::function<void(const std::string&, Weight<T, D>&)> weight{};

  void operator()(const std::string& name, Variable<T, D>& v, Role role = Role::dense) const {
    if (parameter && v) parameter({name, role}, v);
  }
  void operator()(const std::string& name, Tensor<T, D>& t) const {
    if (buffer) buffer({name, Role::statistic}, t);
  }
};

/// One piece of a model.
template <class T, class D = Cpu>
class Module {
 public:
  virtual ~Module() = default;
  virtual Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) = 0;
  /// relu(forward(x) + residual); the residual may be empty. Layers that can do it in fewer passes override
  /// this.
  virtual Variable<T, D> forward_relu(const Variable<T, D>& x, const Variable<T, D>& residual, Pass& pass) {
    const Variable<T, D> y = forward(x, pass);
    return residual ? add_relu(y, residual) : relu(y);
  }
  /// Shows every parameter, buffer and weight below this module, under the prefix, always in the same order.
  virtual void visit(const Visitor<T, D>&, const std::string& /*prefix*/) {}
  /// A copy whose parameters are handles of the same nodes; Model turns them into its own.
  virtual std::unique_ptr<Module> clone() const = 0;
};

/// A value with the name and role of the tensor that it is or belongs to.
template <class V>
struct Named {
  std::string name;
  V value;
  Role role = Role::dense;

  TensorId id() const { return {name, role}; }
};

/// A module tree as a value: copying copies what is trained and shares what is frozen.
template <class T, class D = Cpu>
class Model {
 public:
  using value_type = T;
  using device_type = D;

  Model() = default;
  template <std::derived_from<Module<T, D>> M>
  Model(M module) : root_{std::make_unique<M>(std::move(module))} {}
  Model(const Model& other) : root_{other.root_ ? other.root_->clone() : nullptr} { own(); }
  Model(Model&&) noexcept = default;
  Model& operator=(Model other) noexcept {
    root_ = std::move(other.root_);
    return *this;
  }

  /// Evaluation mode.
  Variable<T, D> operator()(const Variable<T, D>& x) {
    Pass pass;
    return root_->forward(x, pass);
  }
  Variable<T, D> operator()(const Variable<T, D>& x, Pass pass) { return root_->forward(x, pass); }

  void visit(const Visitor<T, D>& visitor) {
    if (root_) root_->visit(visitor, "");
  }

  /// Every parameter with its name, frozen ones included. The variables are handles.
  std::vector<Named<Variable<T, D>>> parameters();

  /// Parameters that require a gradient.
  std::vector<Named<Variable<T, D>>> trained_parameters();

  /// Tensors that are not trained but belong to the model's state: running statistics. The tensors are
  /// handles.
  std::vector<Named<Tensor<T, D>>> buffers();

  /// Values of the trained parameters, then the buffers: what a client's update consists of. Handles.
  std::vector<Named<Tensor<T, D>>> state();

 private:
  void own();

  std::unique_ptr<Module<T, D>> root_;
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
std::vector<Named<Variable<T, D>>> Model<T, D>::parameters() {
  std::vector<Named<Variable<T, D>>> all;
  visit({.parameter = [&](const TensorId& id, Variable<T, D>& v) { all.push_back({id.name, v, id.role}); }});
  return all;
}

template <class T, class D>
std::vector<Named<Variable<T, D>>> Model<T, D>::trained_parameters() {
  auto all = parameters();
  std::erase_if(all, [](const auto& p) { return !p.value.requires_grad(); });
  return all;
}

template <class T, class D>
std::vector<Named<Tensor<T, D>>> Model<T, D>::buffers() {
  std::vector<Named<Tensor<T, D>>> all;
  visit({.buffer = [&](const TensorId& id, Tensor<T, D>& t) { all.push_back({id.name, t, id.role}); }});
  return all;
}

template <class T, class D>
std::vector<Named<Tensor<T, D>>> Model<T, D>::state() {
  std::vector<Named<Tensor<T, D>>> all;
  for (auto& p : trained_parameters()) all.push_back({p.name, p.value.value(), p.role});
  for (auto& b : buffers()) all.push_back(b);
  return all;
}

template <class T, class D>
void Model<T, D>::own() {
  visit({.parameter =
             [](const std::string&, Variable<T, D>& v) {
               v = v.requires_grad() ? Variable<T, D>(clone(v.value()), true) : v.constant();
             },
         .buffer = [](const std::string&, Tensor<T, D>& t) { t = clone(t); }});
}

/// Sets every parameter and buffer of `to`, frozen ones included, to the values of `from`, a model of the
/// same layers on any device. Throws ShapeError, and changes nothing, if names or shapes differ.
template <class T, class From, class To>
void copy_values(Model<T, From>& from, Model<T, To>& to) {
  const auto parameters = from.parameters();
  const auto own = to.parameters();
  const auto buffers = from.buffers();
  const auto own_buffers = to.buffers();
  require<ShapeError>(parameters.size() == own.size() && buffers.size() == own_buffers.size(),
                      "copy_values: expected ", own.size(), " parameters and ", own_buffers.size(),
                      " buffers, got ", parameters.size(), " and ", buffers.size());
  const auto same = [](const auto& a, const auto& b) {
    require<ShapeError>(a.name == b.name && a.value.shape() == b.value.shape(), "copy_values: expected ",
                        b.name, ' ', b.value.shape(), ", got ", a.name, ' ', a.value.shape());
  };
  for (std::size_t i = 0; i < own.size(); ++i) same(parameters[i], own[i]);
  for (std::size_t i = 0; i < own_buffers.size(); ++i) same(buffers[i], own_buffers[i]);
  const auto copied = [](const Tensor<T, From>& x) { return to_device<To>(to_host(clone(x))); };
  auto parameter = parameters.begin();
  auto buffer = buffers.begin();
  to.visit({.parameter = [&](const std::string&,
                             Variable<T, To>& v) { v.set_value(copied((parameter++)->value.decoded())); },
            .buffer = [&](const std::string&, Tensor<T, To>& t) { t = copied((buffer++)->value); }});
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_MODEL(TEMPLATE, T) TEMPLATE class Model<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_MODEL(extern template, float)
LORU_COMPILED_MODEL(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
