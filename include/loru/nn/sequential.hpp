#pragma once
// Modules one after the other.

#include <loru/nn/module.hpp>

namespace loru::nn {

/// Named modules, each fed with the result of the one before. A value: copying copies the modules.
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
    Variable<T, D> y = x;
    for (auto& child : children_) y = child.value->forward(y, pass);
    return y;
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    for (auto& child : children_) child.value->visit(visitor, join_name(prefix, child.name));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Sequential>(*this); }

 private:
  std::vector<Named<std::unique_ptr<Module<T, D>>>> children_;
};

}  // namespace loru::nn
