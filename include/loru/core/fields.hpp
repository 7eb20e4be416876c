#pragma once
// Options that describe themselves. An option struct lists its fields once:
//
//   struct Options {
//     double momentum = 0.0;
//     static constexpr auto fields() {
//       return Fields{field("momentum", &Options::momentum, range::below_one, "share of a step kept")};
//     }
//   };
//
// Checks, configuration keys with their errors, tables of keys and schemas are made from these lists.

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA {

// ---- domains: the values that a field takes ----

/// Every value of the member's type: true or false, a text, a path.
struct Anything {};

/// The numbers from least to most; an end that is open does not belong to them. The largest finite number as
/// `most`, or the lowest as `least`, means that there is no bound. Infinity and NaN are in no range.
template <class V>
struct Range {
  V least, most;
  bool open_below = false, open_above = false;

  static constexpr V lowest = std::numeric_limits<V>::lowest(), largest = std::numeric_limits<V>::max();
  constexpr bool holds(V x) const {
    return x >= least && x <= most && !(open_below && x == least) && !(open_above && x == most);
  }
};

namespace range {

constexpr Range<Index> at_least(Index least) { return {least, Range<Index>::largest}; }
constexpr Range<Index> between(Index least, Index most) { return {least, most}; }
inline constexpr Range<double> finite{Range<double>::lowest, Range<double>::largest};
inline constexpr Range<double> positive{0.0, Range<double>::largest, true};
inline constexpr Range<double> not_negative{0.0, Range<double>::largest};
inline constexpr Range<double> below_one{0.0, 1.0, false, true};  // [0, 1)
inline constexpr Range<double> up_to_one{0.0, 1.0, true, false};  // (0, 1]
inline constexpr Range<double> share{0.0, 1.0};                   // [0, 1]

}  // namespace range

/// A list of numbers in a range: `count` of them, or any number for 0.
template <class V>
struct Each {
  Range<V> range;
  Index count = 0;
};

/// A list of rounds, from `first`, in increasing order.
struct Rounds {
  Index first = 1;
};

/// A word of a configuration and the value that it stands for.
template <class V>
struct Word {
  const char* word;
  V value;
};

/// One of a few words, or, for a list, any of them.
template <class V, std::size_t N>
struct Words {
  Word<V> list[N];
};

/// words<Norm>({{"batch", Norm::batch}, {"group", Norm::group}})
template <class V, std::size_t N>
constexpr Words<V, N> words(const Word<V> (&list)[N]) {
  Words<V, N> all{};
  for (std::size_t i = 0; i < N; ++i) all.list[i] = list[i];
  return all;
}

/// One of the strings that are known at run time (models, data sets), or, for a list, any of them. The code
/// that looks a string up refuses unknown ones.
struct Names {
  std::vector<std::string> (*list)();
};

// ---- fields ----

/// An option of A: its key, its member, the values it takes and a line of explanation, with the unit.
template <class A, class V, class Domain>
struct Field {
  const char* name;
  V A::* member;
  Domain domain;
  const char* text;
};

/// A member of A that has fields of its own. Their keys stand in the table `name`, or beside A's keys if the
/// name is empty.
template <class A, class Part>
struct Section {
  const char* name;
  Part A::* member;
};

template <class A, class V, class Domain>
constexpr Field<A, V, Domain> field(const char* name, V A::* member, Domain domain, const char* text) {
  return {name, member, domain, text};
}

template <class A, class V>
constexpr Field<A, V, Anything> field(const char* name, V A::* member, const char* text) {
  return {name, member, {}, text};
}

template <class A, class Part>
constexpr Section<A, Part> section(const char* name, Part A::* member) {
  return {name, member};
}

/// A list of fields, sections and other lists: Fields{field(...), field(...)}. A tuple would do as well, but
/// takes a compiler much longer.
template <class... Entries>
struct Fields {
  template <class F>
  constexpr void each(const F&) const {}
};

template <class First, class... Rest>
struct Fields<First, Rest...> {
  First first;
  Fields<Rest...> rest;

  constexpr Fields(const First& a, const Rest&... others) : first(a), rest(others...) {}

  /// f(entry) for each field and section, in the order of the lists.
  template <class F>
  constexpr void each(const F& f) const {
    if constexpr (requires { first.each(f); })
      first.each(f);
    else
      f(first);
    rest.each(f);
  }
};

template <class... Entries>
Fields(const Entries&...) -> Fields<Entries...>;

/// The field `layers` of an algorithm that can train either kind of layer: dense, or W + s·B·A.
template <class A>
constexpr auto layers_field() {
  return field("layers", &A::low_rank, words<bool>({{"dense", false}, {"low_rank", true}}),
               "parametrisation of the layers");
}

// ---- walking over them ----

template <class Options, class F>
void for_each_field(Options& options, const F& f, const std::string& table = "");

namespace detail {

template <class Options, class A, class V, class Domain, class F>
void visit_entry(Options& options, const Field<A, V, Domain>& field, const F& f, const std::string& table) {
  f(table, field, options.*(field.member));
}

template <class Options, class A, class Part, class F>
void visit_entry(Options& options, const Section<A, Part>& section, const F& f, const std::string& table) {
  for_each_field(options.*(section.member), f, *section.name ? table + section.name + '.' : table);
}

}  // namespace detail

/// f(table, field, value) for every field, those of sections included, in the order of the lists. `table` is
/// the text before the name in a configuration ("optimizer."), `value` the member, const if the options are.
template <class Options, class F>
void for_each_field(Options& options, const F& f, const std::string& table) {
  std::remove_const_t<Options>::fields().each(
      [&](const auto& entry) { detail::visit_entry(options, entry, f, table); });
}

// ---- checks ----

/// "a whole number >= 1", "a number in [0, 1)".
template <class V>
std::string text(const Range<V>& range) {
  const bool whole = std::is_integral_v<V>;
  const std::string number = whole ? "a whole number" : "a number";
  if (range.most == Range<V>::largest) {
    if (range.least == Range<V>::lowest) return number;
    return concat(number, range.open_below ? " > " : " >= ", range.least);
  }
  if (whole) return concat(number, " in ", range.least, " .. ", range.most);
  return concat(number, " in ", range.open_below ? '(' : '[', range.least, ", ", range.most,
                range.open_above ? ')' : ']');
}

namespace detail {

/// The error text "expected ..., got ..." of a value; empty if the value is in its domain. Words and names
/// are not checked here.
template <class V, class Domain>
std::string mistake(const V&, const Domain&) {
  return {};
}

template <class V, class T>
std::string mistake(const V& value, const Range<T>& range) {
  if constexpr (std::is_unsigned_v<V>) {
    const auto most = static_cast<V>(Range<T>::largest);
    return mistake(static_cast<T>(value < most ? value : most), range);
  } else if constexpr (std::is_arithmetic_v<V>) {
    return range.holds(value) ? std::string{} : concat("expected ", text(range), ", got ", value);
  } else {
    return value ? mistake(*value, range) : std::string{};  // optional
  }
}

template <class List, class T>
std::string mistake(const List& list, const Each<T>& each) {
  const Index size = list.end() - list.begin();
  if (each.count != 0 && size != each.count) return concat("expected ", each.count, " numbers, got ", size);
  for (const T value : list)
    if (!each.range.holds(value)) return mistake(value, each.range);
  return {};
}

inline std::string mistake(const std::vector<Index>& rounds, const Rounds& domain) {
  for (std::size_t i = 1; i < rounds.size(); ++i)
    if (rounds[i - 1] >= rounds[i])
      return concat("expected rounds in increasing order, got ", rounds[i - 1], " before ", rounds[i]);
  return mistake(rounds, Each<Index>{range::at_least(domain.first)});
}

/// "client: epochs" of "client.epochs".
inline std::string spoken(std::string key) {
  for (auto dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot))
    key.replace(dot, 1, ": ");
  return key;
}

}  // namespace detail

/// Throws ConfigError "where: name: expected ..., got ..." for the first field whose value is outside its
/// domain.
template <class Options>
void check_fields(const Options& options, std::string_view where = {}) {
  for_each_field(options, [&](const std::string& table, const auto& field, const auto& value) {
    const std::string wrong = detail::mistake(value, field.domain);
    if (!wrong.empty())
      fail<ConfigError>(where, where.empty() ? "" : ": ", detail::spoken(table + field.name), ": ", wrong);
  });
}

}  // namespace loru::inline LORU_ISA
