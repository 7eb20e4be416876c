#pragma once
// Texts with what is known of them, before they are tokens.

#include <cstdint>
#include <string>
#include <vector>

#include <loru/core/shape.hpp>
#include <loru/data/targets.hpp>

namespace loru::inline LORU_ISA::data {

/// Texts, the class of each if there is one, and its natural client if the source names one.
struct Corpus {
  std::string name = {};
  std::vector<std::string> texts = {};
  Labels labels = {};  // empty: texts without classes
  Index classes = 0;
  std::vector<std::int32_t> groups = {};
};

/// The texts to train on, those to choose hyper-parameters by (where the source has some) and those to test
/// on.
struct CorpusSplit {
  Corpus train = {}, validation = {}, test = {};
};

}  // namespace loru::inline LORU_ISA::data
