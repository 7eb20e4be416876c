#include <loru/io/json.hpp>

#include <string>
#include <variant>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

std::string error_of(const std::string& text) {
  try {
    static_cast<void>(io::parse_json(text, "f.json"));
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("json: values of every kind in the order of the text") {
  const auto document =
      io::parse_json(R"({"z":[1,-2,2.5,18446744073709551615,"x\n",null,true],"a":{"b":{}}})", "f.json");
  const io::JsonPlace place(document, "f.json");
  CHECK(place.object()[0].first == "z");
  CHECK(place.object()[1].first == "a");
  const auto& list = place["z"].array();
  CHECK(std::get<std::int64_t>(list[0].value) == 1);
  CHECK(std::get<std::int64_t>(list[1].value) == -2);
  CHECK(std::get<double>(list[2].value) == 2.5);
  CHECK(std::get<double>(list[3].value) == 18446744073709551616.0);
  CHECK(std::get<std::string>(list[4].value) == "x\n");
  CHECK(std::get<bool>(list[6].value));
  CHECK(list[5].kind() == std::string("null"));
  CHECK(place["a"]["b"].object().empty());
  CHECK_FALSE(place.has("none"));
  CHECK(place.whole_or("none", 0, 9, 7) == 7);
  CHECK(place.text_or("none", "x") == "x");
}

TEST_CASE("json: what is no JSON names the byte, twice a key the key") {
  CHECK_THAT(error_of("{\"a\":1"), ContainsSubstring("f.json: byte 6: expected JSON"));
  CHECK_THAT(error_of("1 2"), ContainsSubstring("f.json: byte 2: expected JSON"));
  CHECK_THAT(error_of(""), ContainsSubstring("expected JSON"));
  CHECK(error_of(std::string("{\0}", 3)) == "f.json: byte 1: expected JSON, got byte 0");
  CHECK(error_of(R"({"a":1,"b":{"c":1,"c":2}})") == "f.json: expected each key once, got 'c' twice");
  CHECK(error_of(std::string(64, '[') + std::string(64, ']')) == "no error");
  CHECK(error_of(std::string(65, '[') + std::string(65, ']')) ==
        "f.json: expected JSON of at most 64 values inside each other, got more");
  CHECK(error_of(std::string(100'000, '[')) ==
        "f.json: expected JSON of at most 64 values inside each other, got more");
}

TEST_CASE("json: errors name the place, what was expected and what is there") {
  const auto document = io::parse_json(R"({"m":{"v":3,"s":"x"}})", "f.json");
  const io::JsonPlace m = io::JsonPlace(document, "f.json")["m"];
  CHECK_THROWS_WITH(m["v"].text(), "f.json: m.v: expected a string, got a whole number");
  CHECK_THROWS_WITH(m["s"].number(), "f.json: m.s: expected a number, got a string");
  CHECK_THROWS_WITH(m["v"].whole(5, 9), "f.json: m.v: expected a whole number in 5 .. 9, got 3");
  CHECK_THROWS_WITH(m["x"], "f.json: m: expected a member 'x', got none");
  CHECK_THROWS_WITH(m["v"]["x"], "f.json: m.v: expected an object, got a whole number");
  CHECK_THROWS_WITH(m["s"].array(), "f.json: m.s: expected an array, got a string");
  CHECK_THROWS_WITH(m["s"].flag(), "f.json: m.s: expected true or false, got a string");
}
