#pragma once
// The targets of a data set: what is known of each sample.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <variant>
#include <vector>

#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::data {

/// A class for each sample.
using Labels = std::vector<std::int32_t>;

/// `width` numbers for each sample: (N, width) row-major.
struct Numbers {
  Index width = 1;
  std::vector<float> values = {};
};

/// `width` labels that each sample has or has not: (N, width) row-major of 1 and 0.
struct Flags {
  Index width = 1;
  std::vector<std::uint8_t> values = {};
};

/// A class for each token of each sequence, one after the other as the tokens are.
struct TokenLabels {
  std::vector<std::int32_t> values = {};
};

using Targets = std::variant<Labels, Numbers, Flags, TokenLabels>;

/// The kind of the targets, in words.
inline const char* kind_of(const Targets& targets) {
  constexpr const char* kinds[] = {"classes", "numbers", "labels of which several hold", "classes of tokens"};
  return targets.index() < std::size(kinds) ? kinds[targets.index()] : "none";
}

/// Numbers of a target: 1 for a class, k for k numbers or k labels.
inline Index width_of(const Targets& targets) {
  if (const auto* numbers = std::get_if<Numbers>(&targets)) return numbers->width;
  if (const auto* flags = std::get_if<Flags>(&targets)) return flags->width;
  return 1;
}

}  // namespace loru::inline LORU_ISA::data
