#pragma once
// Layers, models and their factors; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/models/models.hpp>

namespace loru::inline LORU_ISA::nn {

LORU_COMPILED_FACTORED(template)
LORU_COMPILED_MODELS(template)

}  // namespace loru::nn

namespace loru::inline LORU_ISA::lowrank {

LORU_COMPILED_FACTORIZE(template)

}  // namespace loru::lowrank
