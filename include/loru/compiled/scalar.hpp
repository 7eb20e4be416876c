#pragma once
// Training and federations in one scalar, as lists of what is instantiated once: for compiled/federation.hpp,
// and for programs that use another scalar than float in several sources.
//
//   in a header that all of them include:  LORU_COMPILED_FEDERATION(extern template, double)
//   in one source:                         LORU_COMPILED_FEDERATION(template, double)

#include <loru/fl/algorithms/algorithms.hpp>
#include <loru/fl/simulation/simulation.hpp>
#include <loru/train/train.hpp>

#define LORU_COMPILED_TRAINING(TEMPLATE, T) \
  namespace loru::inline LORU_ISA::train {  \
  LORU_COMPILED_CLASSIFICATION(TEMPLATE, T) \
  LORU_COMPILED_LOOP(TEMPLATE, T)           \
  LORU_COMPILED_EVALUATE(TEMPLATE, T)       \
  LORU_COMPILED_FIT(TEMPLATE, T)            \
  }                                         \
  namespace loru::inline LORU_ISA::io {     \
  LORU_COMPILED_MODEL_FILE(TEMPLATE, T)     \
  }

#define LORU_COMPILED_FEDERATION(TEMPLATE, T) \
  namespace loru::inline LORU_ISA::fl {       \
  LORU_COMPILED_CATCH_UP(TEMPLATE, T)         \
  LORU_COMPILED_TRAIN(TEMPLATE, T)            \
  LORU_COMPILED_STATE(TEMPLATE, T)            \
  LORU_COMPILED_AGGREGATE(TEMPLATE, T)        \
  LORU_COMPILED_MERGE_HISTORY(TEMPLATE, T)    \
  LORU_COMPILED_ANY_ALGORITHM(TEMPLATE, T)    \
  LORU_COMPILED_ALGORITHMS(TEMPLATE, T)       \
  LORU_COMPILED_TURN(TEMPLATE, T)             \
  LORU_COMPILED_SERVER(TEMPLATE, T)           \
  LORU_COMPILED_REPLICA(TEMPLATE, T)          \
  LORU_COMPILED_SIMULATION(TEMPLATE, T)       \
  }
