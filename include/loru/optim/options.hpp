#pragma once
// Optimizers by name.

#include <loru/core/fields.hpp>
#include <loru/optim/adam.hpp>
#include <loru/optim/sgd.hpp>

namespace loru::inline LORU_ISA::optim {

enum class Kind : unsigned char { sgd, adam, adamw };

/// Any optimizer with its learning rate; fields of other optimizers are ignored.
struct Options {
  Kind kind = Kind::sgd;
  double learning_rate = 0.05;
  double momentum = 0.0;
  bool nesterov = false;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double weight_decay = 0.0;
  /// Largest norm of the gradient of all parameters together; zero does not clip.
  double clip_norm = 0.0;

  static constexpr auto fields() {
    using O = Options;
    return Fields{
        field("name", &O::kind,
              words<Kind>({{"sgd", Kind::sgd}, {"adam", Kind::adam}, {"adamw", Kind::adamw}}),
              "optimizer of a client's turn"),
        field("learning_rate", &O::learning_rate, range::positive,
              "at its start; [schedule] says what becomes of it"),
        field("momentum", &O::momentum, range::below_one, "of sgd"),
        field("nesterov", &O::nesterov, "of sgd: Nesterov's momentum"),
        field("beta1", &O::beta1, range::below_one,
              "of adam and adamw: share of the first moment that is kept"),
        field("beta2", &O::beta2, range::below_one, "of adam and adamw: the same of the second moment"),
        field("weight_decay", &O::weight_decay, range::not_negative, "of all parameters"),
        field("clip_norm", &O::clip_norm, range::not_negative,
              "largest norm of the gradient of all parameters together; 0 does not clip")};
  }
};

/// A fresh optimizer over the parameters. Throws ConfigError as its constructor does.
template <class T, class D>
std::unique_ptr<Optimizer<T, D>> make(const Options& o, std::vector<Variable<T, D>> parameters) {
  if (o.kind == Kind::sgd)
    return std::make_unique<Sgd<T, D>>(std::move(parameters),
                                       SgdOptions{o.momentum, o.nesterov, o.weight_decay, o.clip_norm});
  return std::make_unique<Adam<T, D>>(
      std::move(parameters),
      AdamOptions{o.beta1, o.beta2, 1e-8, o.weight_decay, o.kind == Kind::adamw, o.clip_norm});
}

}  // namespace loru::inline LORU_ISA::optim
