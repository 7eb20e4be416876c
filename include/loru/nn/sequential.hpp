#pragma once
// Modules one after the other.

#include <loru/nn/activation.hpp>

namespace loru::inline LORU_ISA::nn {

/// Named modules, each fed with the result of the one before. A module that a ReLU follows is asked for both
/// at once (Module::forward_relu). A value: copying copies the modules.
template <class T, class D = Cpu>
class Sequential final : public Module<T, D> {
 public:
  Sequential() = default;
  Sequential(const Sequential& other) {
    for (const auto& [name, module] : other.children_) children_.push_back({name, module->clone()});
  }
  Sequential(Sequential&&) noexcept = default;
  Sequential& operator=(Sequential other) noexcept {
    children_ = std::move(other.children_);
    return *this;
  }

  /// Appends a module. Returns *this.
  template <std::derived_from<Module<T, D>> M>
  Sequential& add(std::string name, M module) {
    children_.push_back({std::move(name), std::make_unique<M>(std::move(module))});
    return *this;
  }

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    return run(children_.size(), x, pass);
  }

  Variable<T, D> forward_relu(const Variable<T, D>& x, const Variable<T, D>& residual, Pass& pass) override {
    if (children_.empty()) return Module<T, D>::forward_relu(x, residual, pass);
    const Variable<T, D> y = run(children_.size() - 1, x, pass);
    return children_.back().value->forward_relu(y, residual, pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    for (auto& child : children_) child.value->visit(visitor, join_name(prefix, child.name));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Sequential>(*this); }

 private:
  /// The first `count` modules.
  Variable<T, D> run(std::size_t count, const Variable<T, D>& x, Pass& pass) {
    Variable<T, D> y = x;
    for (std::size_t i = 0; i < count; ++i) {
      Module<T, D>& module = *children_[i].value;
      if (i + 1 < count && dynamic_cast<ReLU<T, D>*>(children_[i + 1].value.get())) {
        y = module.forward_relu(y, {}, pass);
        ++i;
      } else {
        y = module.forward(y, pass);
      }
    }
    return y;
  }

  struct Child {
    std::string name;
    std::unique_ptr<Module<T, D>> value;
  };

  std::vector<Child> children_;
};

}  // namespace loru::inline LORU_ISA::nn
