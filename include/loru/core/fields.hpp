#pragma once
// The options of an algorithm: what configuration keys, their checks and their docs are made from.

#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA {

/// A numeric option of algorithm A: its configuration key, member, range and one line of explanation.
template <class A, class V>
struct Field {
  using Member = V A::*;
  const char* name;
  Member member;
  V least, most;
  const char* text;
};

/// An option that is one of a few words.
template <class A, class V, std::size_t N>
struct Choice {
  using Member = V A::*;
  const char* name;
  Member member;
  std::array<std::pair<const char*, V>, N> words;
  const char* text;
};

/// An option that is a list of rounds in increasing order.
template <class A>
struct Rounds {
  using Member = std::vector<Index> A::*;
  const char* name;
  Member member;
  const char* text;
};

/// The option `layers` of an algorithm that is at home in both: whether its layers are dense or W + s·B·A.
template <class A>
constexpr auto layers_choice() {
  return Choice<A, bool, 2>{// spelt out for nvcc
                            "layers",
                            &A::low_rank,
                            {{{"dense", false}, {"low_rank", true}}},
                            "parametrisation of the layers"};
}

namespace detail {

template <class A, class V>
void check_field(const A& a, const Field<A, V>& field) {
  const V value = a.*(field.member);
  const std::string bound = field.most == std::numeric_limits<V>::max() ? "" : concat(" .. ", field.most);
  require<ConfigError>(value >= field.least && value <= field.most, A::name, ": ", field.name, ": expected ",
                       bound.empty() ? "at least " : "", field.least, bound, ", got ", value);
}

template <class A, class V, std::size_t N>
void check_field(const A&, const Choice<A, V, N>&) {}

/// Throws ConfigError unless the rounds are from 1 and each is after the one before it.
inline void check_rounds(const std::string& where, const std::vector<Index>& rounds) {
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    require<ConfigError>(rounds[i] >= 1, where, "expected rounds from 1, got ", rounds[i]);
    require<ConfigError>(i == 0 || rounds[i - 1] < rounds[i], where,
                         "expected rounds in increasing order, got ", rounds[i - 1], " before ", rounds[i]);
  }
}

template <class A>
void check_field(const A& a, const Rounds<A>& field) {
  check_rounds(concat(A::name, ": ", field.name, ": "), a.*(field.member));
}

}  // namespace detail

}  // namespace loru
