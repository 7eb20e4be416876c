#include <loru/core/fields.hpp>

#include <cmath>
#include <limits>
#include <optional>

#include "support/catch.hpp"

using namespace loru;

namespace {

enum class Colour { red, green };

struct Inner {
  double share = 0.5;
  bool flag = false;

  static constexpr auto fields() {
    return Fields{field("share", &Inner::share, range::below_one, "a share"),
                  field("flag", &Inner::flag, "a flag")};
  }
};

struct Outer {
  Index count = 3;
  std::uint64_t seed = 1;
  std::optional<double> maybe;
  std::vector<double> list{};
  Shape shape{1, 2, 3};
  std::vector<Index> rounds{};
  Colour colour = Colour::red;
  Inner inner, among;

  static constexpr auto fields() {
    using O = Outer;
    return Fields{field("count", &O::count, range::between(1, 9), "how many"),
                  field("seed", &O::seed, range::at_least(0), "of draws"),
                  field("maybe", &O::maybe, range::positive, "not always there"),
                  field("list", &O::list, Each{range::not_negative}, "numbers"),
                  field("shape", &O::shape, Each{range::at_least(1), 3}, "extents"),
                  field("when.rounds", &O::rounds, Rounds{}, "in increasing order"),
                  field("colour", &O::colour, words<Colour>({{"red", Colour::red}, {"green", Colour::green}}),
                        "a word"),
                  section("inner", &O::inner),
                  section("", &O::among)};
  }
};

/// What check_fields() says of the options after a change.
template <class Change>
std::string error(Change change) {
  Outer options;
  change(options);
  try {
    check_fields(options, "outer");
  } catch (const ConfigError& wrong) {
    return wrong.what();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("fields: ranges hold what their text says") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                   inf = std::numeric_limits<double>::infinity();
  struct Case {
    Range<double> range;
    const char* text;
    std::vector<double> inside, outside;
  };
  const double tiny = std::numeric_limits<double>::min(), largest = std::numeric_limits<double>::max();
  for (const Case& c : {Case{range::positive, "a number > 0", {tiny, 1, largest}, {0, -1, inf, nan}},
                        Case{range::not_negative, "a number >= 0", {0, largest}, {-tiny, inf, nan}},
                        Case{range::below_one, "a number in [0, 1)", {0, 0.99}, {-tiny, 1, nan}},
                        Case{range::up_to_one, "a number in (0, 1]", {tiny, 1}, {0, 1.01, nan}},
                        Case{range::share, "a number in [0, 1]", {0, 1}, {-0.01, 1.01, nan}},
                        Case{range::finite, "a number", {-largest, 0, largest}, {-inf, inf, nan}}}) {
    CAPTURE(c.text);
    CHECK(text(c.range) == c.text);
    for (const double x : c.inside) CHECK(c.range.holds(x));
    for (const double x : c.outside) CHECK_FALSE(c.range.holds(x));
  }
  CHECK(text(range::at_least(0)) == "a whole number >= 0");
  CHECK(text(range::between(1, 9)) == "a whole number in 1 .. 9");
  CHECK(range::between(1, 9).holds(1));
  CHECK(range::between(1, 9).holds(9));
  CHECK_FALSE(range::between(1, 9).holds(0));
  CHECK_FALSE(range::between(1, 9).holds(10));
}

TEST_CASE("fields: a value outside its domain is named with its place") {
  CHECK(error([](Outer&) {}) == "nothing was thrown");
  CHECK(error([](Outer& o) { o.count = 10; }) == "outer: count: expected a whole number in 1 .. 9, got 10");
  CHECK(error([](Outer& o) { o.seed = ~std::uint64_t{0}; }) == "nothing was thrown");
  CHECK(error([](Outer& o) { o.maybe = 0.5; }) == "nothing was thrown");
  CHECK(error([](Outer& o) { o.maybe = 0.0; }) == "outer: maybe: expected a number > 0, got 0");
  CHECK(error([](Outer& o) { o.list = {1, -2}; }) == "outer: list: expected a number >= 0, got -2");
  CHECK(error([](Outer& o) { o.shape = {1, 2}; }) == "outer: shape: expected 3 numbers, got 2");
  CHECK(error([](Outer& o) { o.shape = {1, 0, 2}; }) == "outer: shape: expected a whole number >= 1, got 0");
  CHECK(error([](Outer& o) { o.rounds = {1, 5, 9}; }) == "nothing was thrown");
  CHECK(error([](Outer& o) { o.rounds = {5, 5}; }) ==
        "outer: when: rounds: expected rounds in increasing order, got 5 before 5");
  CHECK(error([](Outer& o) { o.rounds = {0, 5}; }) ==
        "outer: when: rounds: expected a whole number >= 1, got 0");
  CHECK(detail::mistake(std::vector<Index>{0, 5}, Rounds{.first = 0}).empty());
  CHECK(detail::mistake(std::vector<Index>{-1, 5}, Rounds{.first = 0}) ==
        "expected a whole number >= 0, got -1");
  CHECK(error([](Outer& o) { o.inner.share = 1.0; }) ==
        "outer: inner: share: expected a number in [0, 1), got 1");
  CHECK(error([](Outer& o) { o.among.share = std::nan(""); }) ==
        "outer: share: expected a number in [0, 1), got nan");
}

TEST_CASE("fields: a walk visits every field in the order of the lists") {
  Outer options;
  std::vector<std::string> names;
  for_each_field(
      options,
      [&]<class V>(const std::string& table, const auto& field, V& value) {
        names.push_back(table + field.name);
        if constexpr (std::same_as<V, bool>) value = true;
      },
      "top.");
  CHECK(names == std::vector<std::string>{"top.count", "top.seed", "top.maybe", "top.list", "top.shape",
                                          "top.when.rounds", "top.colour", "top.inner.share",
                                          "top.inner.flag", "top.share", "top.flag"});
  CHECK(options.inner.flag);
  CHECK(options.among.flag);
}
