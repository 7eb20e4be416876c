#pragma once
// Layers, models and their factors; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/char_transformer.hpp>
#include <loru/nn/models/llama.hpp>
#include <loru/nn/models/models.hpp>

#define LORU_COMPILED_VARIABLES_OF(T) \
  LORU_COMPILED_VARIABLE(template, T) \
  LORU_COMPILED_BIAS(template, T)     \
  LORU_COMPILED_LOSS(template, T)     \
  LORU_COMPILED_LOWRANK(template, T)  \
  LORU_COMPILED_LOWRANK_CONV(template, T)

#define LORU_COMPILED_LAYERS_OF(T)    \
  LORU_COMPILED_MODEL(template, T)    \
  LORU_COMPILED_LINEAR(template, T)   \
  LORU_COMPILED_CONV2D(template, T)   \
  LORU_COMPILED_FACTORED(template, T) \
  LORU_COMPILED_MODELS(template, T)   \
  LORU_COMPILED_BERT(template, T)     \
  LORU_COMPILED_LLAMA(template, T)    \
  LORU_COMPILED_CHAR_TRANSFORMER(template, T)

namespace loru::inline LORU_ISA {

LORU_COMPILED_VARIABLES_OF(float)
LORU_COMPILED_VARIABLES_OF(double)

}  // namespace loru::inline LORU_ISA

namespace loru::inline LORU_ISA::nn {

LORU_COMPILED_LAYERS_OF(float)
LORU_COMPILED_LAYERS_OF(double)

}  // namespace loru::inline LORU_ISA::nn

namespace loru::inline LORU_ISA::lowrank {

LORU_COMPILED_FACTORIZE(template, float)
LORU_COMPILED_FACTORIZE(template, double)

}  // namespace loru::inline LORU_ISA::lowrank

#undef LORU_COMPILED_VARIABLES_OF
#undef LORU_COMPILED_LAYERS_OF
