#pragma once
// Training and federations; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/fl/algorithms/algorithms.hpp>
#include <loru/fl/simulation/simulation.hpp>
#include <loru/train/train.hpp>

namespace loru::inline LORU_ISA::train {

LORU_COMPILED_LOOP(template)
LORU_COMPILED_EVALUATE(template)

}  // namespace loru::inline LORU_ISA::train

namespace loru::inline LORU_ISA::fl {

LORU_COMPILED_CATCH_UP(template)
LORU_COMPILED_TRAIN(template)
LORU_COMPILED_STATE(template)
LORU_COMPILED_AGGREGATE(template)
LORU_COMPILED_MERGE_HISTORY(template)
LORU_COMPILED_SERVER(template)
LORU_COMPILED_SIMULATION(template)
LORU_COMPILED_ALGORITHMS(template)

}  // namespace loru::inline LORU_ISA::fl
