#pragma once
// The bundled models by name.

#include <span>
#include <string_view>

#include <loru/core/text.hpp>
#include <loru/nn/models/cnn.hpp>
#include <loru/nn/models/lenet.hpp>
#include <loru/nn/models/logistic.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/nn/models/resnet.hpp>

namespace loru::inline LORU_ISA::nn {

inline const std::vector<std::string>& model_names() {
  static const std::vector<std::string> names{"logistic", "mlp", "cnn", "lenet", "resnet10", "resnet18"};
  return names;
}

/// The model of that name. Throws ConfigError naming the nearest known one, and for Init::zero where
/// hidden layers would never learn.
template <class T, class D = Cpu>
Model<T, D> build(std::string_view name, const ModelOptions& o) {
  require<ConfigError>(o.init != Init::zero || name == "logistic",
                       "model.init: expected \"kaiming\" or \"xavier\" for the model ", name,
                       ", got \"zero\", which is for logistic alone");
  if (name == "logistic") return logistic<T, D>(o);
  if (name == "mlp") return mlp<T, D>(o);
  if (name == "cnn") return cnn<T, D>(o);
  if (name == "lenet") return lenet<T, D>(o);
  if (name == "resnet10") return resnet10<T, D>(o);
  if (name == "resnet18") return resnet18<T, D>(o);
  fail<ConfigError>("model: unknown name '", name, "', did you mean '", nearest(name, model_names()), "'?");
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_MODELS(TEMPLATE, T)                                 \
  TEMPLATE Model<T> build<T, Cpu>(std::string_view, const ModelOptions&); \
  TEMPLATE Model<T> mlp<T, Cpu>(const ModelOptions&);                     \
  TEMPLATE Model<T> cnn<T, Cpu>(const ModelOptions&);
#ifdef LORU_COMPILED
LORU_COMPILED_MODELS(extern template, float)
LORU_COMPILED_MODELS(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
