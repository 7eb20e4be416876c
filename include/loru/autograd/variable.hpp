#pragma once
// Variable: a tensor in a graph of shared nodes, and the backward pass over that graph.
//
// A node owns its value, its gradient, handles of its parents and a closure that turns its gradient into
// theirs. Closures capture tensors and parents, never their own output, so that nodes die with their last
// handle.

#include <functional>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include <loru/core/blocks.hpp>
#include <loru/cpu/cpu.hpp>
#include <loru/ops/ops.hpp>

namespace loru::inline LORU_ISA {

/// While one is alive on this thread, functions of variables record no graph.
class NoGrad {
 public:
  NoGrad() : previous_{active()} { active() = true; }
  ~NoGrad() { active() = previous_; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

  static bool& active() {
    thread_local bool value = false;
    return value;
  }

 private:
  bool previous_;
};

template <class T, class D = Cpu>
  requires Backend<D, T>
class Variable;

/// Whether constants of T on D may be kept in blocks.
template <class T, class D>
inline constexpr bool keeps_blocks = std::same_as<T, float> && std::same_as<D, Cpu>;

namespace detail {

template <class T, class D>
struct Node {
  Tensor<T, D> value, gradient;
  std::shared_ptr<const BlockTensor> blocks;  // in place of the value
  std::vector<std::shared_ptr<Node>> parents;
  std::function<void(Tensor<T, D>)> backward;
  const char* name = "leaf";
  bool requires_grad = false;
  bool freed = false;
  bool visited = false;

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Frees a graph that no backward pass has freed, node by node. If each node released its parents in turn,
  /// the recursion would be as deep as the graph.
  ~Node();

 private:
  /// Gives up the parents. The closure is destroyed first, so that its handles of the parents are never the
  /// last ones.
  void give_up(std::vector<std::shared_ptr<Node>>& handles);
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
Node<T, D>::~Node() {
  std::vector<std::shared_ptr<Node>> handles;
  give_up(handles);
  while (!handles.empty()) {
    const std::shared_ptr<Node> node = std::move(handles.back());
    handles.pop_back();
    if (node.use_count() == 1) node->give_up(handles);
  }
}

template <class T, class D>
void Node<T, D>::give_up(std::vector<std::shared_ptr<Node>>& handles) {
  if (parents.empty()) return;
  backward = nullptr;
  handles.insert(handles.end(), std::make_move_iterator(parents.begin()),
                 std::make_move_iterator(parents.end()));
  parents.clear();
}

}  // namespace detail

/// A tensor whose derivatives can be taken. Copies are handles of one node. A constant may be kept in blocks,
/// which products decode as they need them: see blocks().
template <class T, class D>
  requires Backend<D, T>
class Variable {
 public:
  using Node = detail::Node<T, D>;

  Variable() = default;

  /// A leaf: an input (no gradient) or a parameter.
  explicit Variable(Tensor<T, D> value, bool requires_grad = false) : node_{std::make_shared<Node>()} {
    node_->value = std::move(value);
    node_->requires_grad = requires_grad;
  }

  /// A constant that is kept in blocks.
  explicit Variable(BlockTensor blocks)
    requires keeps_blocks<T, D>
      : node_{std::make_shared<Node>()} {
    node_->blocks = std::make_shared<const BlockTensor>(std::move(blocks));
  }

  /// The result of a function: `backward(dy)` adds to the gradients of the parents that require one. The
  /// closure owns dy: if it takes dy by value, it may write over the buffer where nothing else shares it.
  template <class F>
  Variable(const char* name, Tensor<T, D> value, std::initializer_list<Variable> parents, F backward)
      : Variable(std::move(value)) {
    node_->name = name;
    if (NoGrad::active()) return;
    for (const Variable& parent : parents) node_->requires_grad |= parent.requires_grad();
    if (!node_->requires_grad) return;
    for (const Variable& parent : parents)
      if (parent) node_->parents.push_back(parent.node_);
    node_->backward = std::move(backward);
  }

  explicit operator bool() const { return node_ != nullptr; }
  /// The tensor. Throws GraphError for a constant in blocks, which has none.
  const Tensor<T, D>& value() const {
    if (node_->blocks) fail_blocks();
    return node_->value;
  }
  const Shape& shape() const { return node_->blocks ? node_->blocks->shape : node_->value.shape(); }
  Layout layout() const { return node_->blocks ? Layout::row_major : node_->value.layout(); }

  /// The blocks of a constant that is kept in them, else null.
  const BlockTensor* blocks() const { return node_->blocks.get(); }

  /// The tensor; of a constant in blocks a new one with their values.
  Tensor<T, D> decoded() const;

  /// A new leaf without gradient that shares the tensor or the blocks.
  Variable constant() const;

  bool requires_grad() const { return node_ && node_->requires_grad; }

  /// Changes whether a leaf takes part in backward passes begun from graphs recorded afterwards. Blocks that
  /// are to be trained become a tensor.
  void set_requires_grad(bool requires_grad) {
    if (requires_grad && node_->blocks) set_value(decoded());
    node_->requires_grad = requires_grad;
  }

  /// The leaf's tensor, to be changed in place by optimizers and aggregation.
  Tensor<T, D>& mutable_value() {
    if (node_->blocks) fail_blocks();
    return node_->value;
  }

  /// Replaces the tensor, or blocks by a tensor. Throws ShapeError if the shape differs.
  void set_value(Tensor<T, D> value) {
    require<ShapeError>(value.shape() == shape(), "set_value: expected shape ", shape(), ", got ",
                        value.shape());
    node_->value = std::move(value);
    node_->blocks = nullptr;
  }

  /// Takes the tensor or the blocks of another variable, without a copy. Throws ShapeError if the shape
  /// differs.
  void share(const Variable& other) {
    require<ShapeError>(other.shape() == shape(), "share: expected shape ", shape(), ", got ", other.shape());
    node_->value = other.node_->value;
    node_->blocks = other.node_->blocks;
  }

  /// True if this handle is the only one of a result whose buffer nothing else shares.
  bool exclusive() const { return node_.use_count() == 1 && node_->value.unique(); }

  /// Accumulated dloss/dvalue; empty before the first backward pass.
  const Tensor<T, D>& gradient() const { return node_->gradient; }
  Tensor<T, D>& mutable_gradient() { return node_->gradient; }
  void clear_gradient() { node_->gradient = {}; }

  /// Adds g to the gradient if this variable requires one; the first g is kept without a copy.
  void accumulate(Tensor<T, D> g) const;

  /// Accumulates the derivatives of this scalar in every leaf it depends on, and frees the graph on the way.
  /// Throws GraphError if it is not a scalar, depends on nothing that requires a gradient, or was freed.
  void backward() const;

  /// The same for any shape, from a given dloss/dvalue.
  void backward(const Tensor<T, D>& seed) const;

 private:
  [[noreturn]] void fail_blocks() const;

  /// Nodes below this one that require a gradient, parents before children. Iterative: graphs can be deep.
  std::vector<std::shared_ptr<Node>> topological_order() const;

  std::shared_ptr<Node> node_;
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
  requires Backend<D, T>
void Variable<T, D>::fail_blocks() const {
  fail<GraphError>("value: the constant of shape ", shape(), " is kept in blocks of type ",
                   format_of(node_->blocks->type).name, ", expected a tensor");
}

template <class T, class D>
  requires Backend<D, T>
Tensor<T, D> Variable<T, D>::decoded() const {
  if constexpr (keeps_blocks<T, D>)
    if (node_->blocks) return loru::decoded(*node_->blocks);
  return node_->value;
}

template <class T, class D>
  requires Backend<D, T>
Variable<T, D> Variable<T, D>::constant() const {
  Variable leaf(node_->value);
  leaf.node_->blocks = node_->blocks;
  return leaf;
}

template <class T, class D>
  requires Backend<D, T>
void Variable<T, D>::accumulate(Tensor<T, D> g) const {
  if (!requires_grad()) return;
  require<ShapeError>(g.shape() == shape(), "backward: gradient of shape ", g.shape(),
                      " for a value of shape ", shape(), " (", node_->name, ")");
  g = to_layout(g, node_->value.layout());
  if (!node_->gradient) {
    node_->gradient = std::move(g);
    return;
  }
  if (!node_->gradient.unique()) node_->gradient = clone(node_->gradient);
  add_scaled(node_->gradient, T(1), g);
}

template <class T, class D>
  requires Backend<D, T>
void Variable<T, D>::backward() const {
  require<GraphError>(node_ != nullptr, "backward: empty variable");
  require<GraphError>(node_->value.size() == 1, "backward: expected a scalar loss, got shape ", shape());
  Tensor<T, D> one(shape());
  fill(one, T(1));
  backward(one);
}

template <class T, class D>
  requires Backend<D, T>
void Variable<T, D>::backward(const Tensor<T, D>& seed) const {
  require<GraphError>(requires_grad(), "backward: nothing here requires a gradient (recorded under NoGrad?)");
  std::vector<std::shared_ptr<Node>> order = topological_order();
  accumulate(seed);
  while (!order.empty()) {
    const std::shared_ptr<Node> node = std::move(order.back());
    order.pop_back();
    if (!node->backward) continue;
    if (node->gradient) node->backward(std::move(node->gradient));
    node->gradient = {};
    node->backward = nullptr;
    node->parents.clear();
    node->freed = true;
  }
}

template <class T, class D>
  requires Backend<D, T>
std::vector<std::shared_ptr<detail::Node<T, D>>> Variable<T, D>::topological_order() const {
  struct Visit {
    std::shared_ptr<Node> node;
    std::size_t next = 0;
  };
  std::vector<std::shared_ptr<Node>> order;
  std::vector<Visit> stack{{node_}};
  node_->visited = true;
  const char* freed = nullptr;
  while (!stack.empty()) {
    Visit& top = stack.back();
    if (top.node->freed) freed = top.node->name;
    if (top.next < top.node->parents.size()) {
      const std::shared_ptr<Node>& parent = top.node->parents[top.next++];
      if (parent->requires_grad && !parent->visited) {
        parent->visited = true;
        stack.push_back({parent});
      }
    } else {
      order.push_back(std::move(top.node));
      stack.pop_back();
    }
  }
  for (const auto& node : order) node->visited = false;
  require<GraphError>(!freed, "backward: the graph through ", freed ? freed : "",
                      " was freed by an earlier backward pass; run the forward pass again");
  return order;
}

/// f(w) with the tensor of a matrix, or with the blocks that it is kept in.
template <class T, class D, class F>
auto with_matrix(const Variable<T, D>& w, F f) {
  if constexpr (keeps_blocks<T, D>)
    if (w.blocks()) return f(*w.blocks());
  return f(w.value());
}

/// Value of a scalar variable as a double.
template <class T, class D>
double item(const Variable<T, D>& x) {
  require<ShapeError>(x.value().size() == 1, "item: expected one element, got shape ", x.shape());
  return static_cast<double>(value_of(to_host(x.value()).data()[0]));
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_VARIABLE(TEMPLATE, T) \
  TEMPLATE struct detail::Node<T, Cpu>;     \
  TEMPLATE class Variable<T, Cpu>;
#ifdef LORU_COMPILED
LORU_COMPILED_VARIABLE(extern template, float)
LORU_COMPILED_VARIABLE(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA
