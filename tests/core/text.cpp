#include <loru/core/text.hpp>

#include <clocale>
#include <limits>

#include <loru/core/rng.hpp>

#include "support/catch.hpp"

using namespace loru;

TEST_CASE("text: a number is its shortest text, which reads back as the same number") {
  CHECK(to_text(0.1) == "0.1");
  CHECK(to_text(1.0 / 3.0) == "0.3333333333333333");
  CHECK(to_text(1e30) == "1e+30");
  CHECK(to_text(-3.0) == "-3");
  CHECK(to_text(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(to_text(0.1f) == "0.1");
  CHECK(to_text(std::int64_t{-42}) == "-42");
  rng::Stream stream(1, rng::Purpose::synthetic);
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t bits = std::uint64_t{stream.bits()} << 32 | stream.bits();
    const double x = std::bit_cast<double>(bits);
    if (!std::isfinite(x)) continue;
    REQUIRE(std::bit_cast<std::uint64_t>(parse_number<double>(to_text(x)).value()) == bits);
  }
}

TEST_CASE("text: what is a number and what is none") {
  CHECK(parse_number<double>("1.5") == 1.5);
  CHECK(parse_number<double>("-.5e-3") == -0.0005);
  CHECK(parse_number<double>("4.9e-324") == std::numeric_limits<double>::denorm_min());
  CHECK(parse_number<double>("inf") == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(parse_number<double>("nan").value()));
  CHECK(parse_number<Index>("-17") == -17);
  for (const char* text :
       {"", " 1", "1 ", "+1", "0x10", "1e", "1.5.2", "1,5", "one", "1e400", "-1e400", "1e-400", "-"})
    CHECK_FALSE(parse_number<double>(text).has_value());
  using namespace std::string_view_literals;
  CHECK_FALSE(parse_number<double>("1\0002"sv).has_value());
  for (const char* text : {"", " 1", "+1", "1.0", "9223372036854775808"})
    CHECK_FALSE(parse_number<Index>(text).has_value());
}

TEST_CASE("text: numbers do not go by the process's locale") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* comma : {"de_DE.UTF-8", "fr_FR.UTF-8"})
    if (std::setlocale(LC_ALL, comma)) break;
  CHECK(parse_number<double>("1.5") == 1.5);
  CHECK_FALSE(parse_number<double>("1,5").has_value());
  CHECK(to_text(1.5) == "1.5");
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("text: the nearest word") {
  const std::vector<std::string> known{"memory", "windows", "calls"};
  CHECK(edit_distance("memry", "memory") == 1);
  CHECK(edit_distance("mmeory", "memory") == 1);
  CHECK(nearest("memry", known) == "memory");
  CHECK(nearest("x", {}).empty());
}
