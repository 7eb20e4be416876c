#include <loru/io/safetensors.hpp>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

/// A message of this header and this many bytes of data.
std::vector<std::byte> message(const std::string& header, std::size_t data_bytes = 0) {
  std::vector<std::byte> out(8 + header.size() + data_bytes);
  const std::uint64_t length = header.size();
  std::memcpy(out.data(), &length, 8);
  std::memcpy(out.data() + 8, header.data(), header.size());
  return out;
}

std::string header_text(const std::vector<std::byte>& bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  return {reinterpret_cast<const char*>(bytes.data()) + 8, static_cast<std::size_t>(length)};
}

std::string error_of(const std::vector<std::byte>& bytes) {
  try {
    static_cast<void>(io::parse(bytes, "some.safetensors"));
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(const std::string& header, std::size_t data_bytes = 0) {
  return error_of(message(header, data_bytes));
}

template <class T>
Tensor<T> ramp(const Shape& shape, Layout layout = Layout::row_major) {
  Tensor<T> x{shape, layout};
  std::iota(x.span().begin(), x.span().end(), T(1));
  return x;
}

const std::string one_float = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";

}  // namespace

TEMPLATE_TEST_CASE("safetensors: values of every type come back bit for bit", "", float, double, std::int32_t,
                   std::int64_t, std::uint8_t) {
  const Shape shape = GENERATE(Shape{}, Shape{1}, Shape{3, 5}, Shape{2, 3, 4, 5}, Shape{0}, Shape{2, 0, 3},
                               Shape{1, 2, 1, 2, 1, 3});
  Tensor<TestType> x = ramp<TestType>(shape);
  if (x.size() > 2) {
    x.data()[0] = std::numeric_limits<TestType>::lowest();
    x.data()[1] = std::numeric_limits<TestType>::max();
  }
  io::Archive archive;
  archive.put("x", x);
  archive.metadata()["note"] = "one";
  const auto bytes = io::serialise(archive);
  CHECK(bytes.size() == io::serialised_size(archive));
  CHECK((bytes.size() - x.span().size_bytes()) % 8 == 0);
  const io::Archive back = io::parse(bytes);
  CHECK(back.names() == std::vector<std::string>{"x"});
  CHECK(back.metadata().at("note") == "one");
  const Tensor<TestType> y = back.get<TestType>("x", shape);
  REQUIRE(y.shape() == x.shape());
  CHECK(std::memcmp(x.data(), y.data(), x.span().size_bytes()) == 0);
}

TEST_CASE("safetensors: channels-last tensors are written row-major") {
  const Shape shape = GENERATE(Shape{2, 3, 4, 5}, Shape{1, 1, 3, 2}, Shape{3, 4, 1, 1}, Shape{0, 2, 2, 2});
  const bool share = GENERATE(false, true);
  Tensor<double> x = ramp<double>(shape, Layout::channels_last);
  io::Archive archive;
  share ? archive.share("x", x) : archive.put("x", x);
  const Tensor<double> y = io::parse(io::serialise(archive)).get<double>("x");
  REQUIRE(y.layout() == Layout::row_major);
  REQUIRE(y.shape() == shape);
  for (Index n = 0; n < shape[0]; ++n)
    for (Index c = 0; c < shape[1]; ++c)
      for (Index h = 0; h < shape[2]; ++h)
        for (Index w = 0; w < shape[3]; ++w)
          REQUIRE(y.data()[y.offset(n, c, h, w)] == x.data()[x.offset(n, c, h, w)]);
}

TEST_CASE("safetensors: put keeps the values, share keeps the tensor") {
  Tensor<float> x{{2}, {1, 2}};
  io::Archive archive;
  archive.put("copy", x);
  archive.share("same", x);
  x.data()[0] = 7;
  CHECK(archive.get<float>("copy").data()[0] == 1);
  CHECK(archive.get<float>("same").data()[0] == 7);
  CHECK(archive.raw("same").bytes.data() == static_cast<const void*>(x.data()));
}

TEST_CASE("safetensors: an archive keeps its bytes alive, a borrowing one does not copy them") {
  io::Archive archive;
  archive.put("x", ramp<float>({4}));
  auto bytes = io::serialise(archive);
  const std::byte* data = bytes.data() + bytes.size() - 16;
  CHECK(io::borrow(bytes).raw("x").bytes.data() == data);
  CHECK(io::parse(bytes).raw("x").bytes.data() != data);
  io::Archive copy;
  {
    const io::Archive taken = io::parse(std::move(bytes));
    CHECK(taken.raw("x").bytes.data() == data);
    copy = taken;
  }
  CHECK(copy.get<float>("x").data()[3] == 4);
}

TEST_CASE("safetensors: bytes depend on names and values alone, in name order") {
  const Tensor<float> a = ramp<float>({3});
  const Tensor<std::uint8_t> b = ramp<std::uint8_t>({3});
  io::Archive one, two;
  one.put("b", b);
  one.put("a", a);
  two.put("a", ramp<float>({9}));
  two.put("gone", a);
  two.share("b", b);
  two.put("a", a);
  CHECK(two.erase("gone"));
  CHECK_FALSE(two.erase("gone"));
  CHECK(io::serialise(one) == io::serialise(two));
  const std::string expected = R"({"a":{"data_offsets":[0,12],"dtype":"F32","shape":[3]},)"
                               R"("b":{"data_offsets":[12,15],"dtype":"U8","shape":[3]}}   )";
  CHECK(header_text(io::serialise(one)) == expected);
  CHECK(header_text(io::serialise(io::Archive{})) == "{}      ");
  one = io::Archive{};
  one.put("a", Tensor<double>{Shape{}});
  one.put("Z", b);
  one.metadata()["z"] = "\"\n\x1f";
  one.metadata()["k"] = "";
  CHECK(header_text(io::serialise(one)) == R"({"Z":{"data_offsets":[0,3],"dtype":"U8","shape":[3]},)"
                                           R"("__metadata__":{"k":"","z":"\"\n\u001f"},)"
                                           R"("a":{"data_offsets":[3,11],"dtype":"F64","shape":[]}})" +
                                               std::string(5, ' '));
}

TEST_CASE("safetensors: names and metadata may be any UTF-8 text") {
  const std::string odd = GENERATE(as<std::string>{}, "", "a\"b\\c/d", std::string("nul\0tab\t\x1f", 9),
                                   "gr\u00fc\u00df", "\U0001F600 \uFFFD", "\x7f");
  io::Archive archive;
  archive.put(odd, ramp<float>({2}));
  archive.metadata()[odd] = odd;
  const io::Archive back = io::parse(io::serialise(archive));
  CHECK(back.contains(odd));
  CHECK(back.metadata().at(odd) == odd);
}

TEST_CASE("safetensors: text that is not UTF-8 is refused") {
  const std::string bad = GENERATE(as<std::string>{}, "\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80",
                                   "\xf4\x90\x80\x80", "\xe0\x80\x80", "ab\x80");
  io::Archive name, metadata;
  name.put(bad, ramp<float>({2}));
  metadata.metadata()["key"] = bad;
  CHECK_THROWS_AS(io::serialise(name), DataError);
  CHECK_THROWS_WITH(io::serialise(name), ContainsSubstring("tensor name: expected UTF-8 text, got in"));
  CHECK_THROWS_WITH(io::serialise(metadata), ContainsSubstring("metadata key: expected UTF-8"));
  const std::string error = error_of("{\"__metadata__\":{\"k\":\"" + bad + "\"}}");
  CHECK_THAT(error, ContainsSubstring("ill-formed UTF-8 byte"));
  CHECK(error.find(bad) == std::string::npos);
}

TEST_CASE("safetensors: escapes, spaces and any order of keys are read") {
  const auto bytes = message(
      "{ \"\\u0061\\ud83d\\ude00\\n\" : {\n\"data_offsets\" : [ 0 , 8 ],\t\"shape\":[2 ,1 ], "
      "\"dtype\":\"F32\" } , \"__metadata__\" : { } }  ",
      8);
  CHECK(io::parse(bytes).get<float>("a\U0001F600\n", {2, 1}).size() == 2);
}

TEST_CASE("safetensors: tensors may stand in any order in the data") {
  const auto archive = io::parse(message(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[3,5]},)"
                                         R"("z":{"dtype":"U8","shape":[0],"data_offsets":[3,3]},)"
                                         R"("b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
                                         5));
  CHECK(archive.size() == 3);
}

TEST_CASE("safetensors: asking for what is not there") {
  io::Archive archive{"model.safetensors"};
  archive.put("w", ramp<float>({2, 3}));
  CHECK_THROWS_WITH(archive.get<float>("v"),
                    "model.safetensors: expected a tensor named 'v', got none among 1");
  CHECK_THROWS_WITH(archive.get<double>("w"), "model.safetensors: tensor w: expected dtype F64, got F32");
  CHECK_THROWS_WITH((archive.get<float>("w", {3, 2})),
                    "model.safetensors: tensor w: expected shape (3, 2), got (2, 3)");
  CHECK_THROWS_AS(archive.raw("v"), DataError);
  CHECK_THROWS_AS(archive.put("__metadata__", ramp<float>({1})), DataError);
  CHECK_THROWS_AS(archive.put("empty", Tensor<float>{}), ShapeError);
  CHECK_THROWS_AS(archive.put_raw("short", {io::DType::f32, {2}, {}}), DataError);
}

TEST_CASE("safetensors: a message cut off anywhere is refused") {
  io::Archive archive;
  archive.put("w", ramp<double>({2, 3}));
  archive.put("b", ramp<std::uint8_t>({5}));
  archive.metadata()["alpha"] = "16";
  const auto whole = io::serialise(archive);
  for (std::size_t n = 0; n < whole.size(); ++n)
    REQUIRE_THROWS_AS(io::parse(std::span{whole}.first(n)), DataError);
  auto longer = whole;
  longer.push_back({});
  CHECK_THAT(error_of(longer), ContainsSubstring("expected the end after the last tensor, got 1 bytes more"));
}

TEST_CASE("safetensors: a damaged header never does more than throw DataError") {
  io::Archive archive;
  archive.put("w", ramp<double>({2, 3}));
  archive.metadata()["a"] = "b";
  const auto whole = io::serialise(archive);
  const std::size_t header_end = whole.size() - 48;
  for (std::size_t at = 0; at < header_end; ++at)
    for (int value = 0; value < 256; ++value) {
      auto bytes = whole;
      bytes[at] = static_cast<std::byte>(value);
      try {
        static_cast<void>(io::parse(std::move(bytes)));
      } catch (const DataError&) {}
    }
  SUCCEED();
}

TEST_CASE("safetensors: the length of the header") {
  CHECK_THAT(error_of(std::vector<std::byte>(5)),
             ContainsSubstring("some.safetensors: byte 5: expected 8 bytes of header length, got 5"));
  auto bytes = message(one_float, 4);
  bytes[2] = std::byte{1};
  CHECK_THAT(error_of(bytes),
             ContainsSubstring("byte 0: expected a header of 65590 bytes, got 58 bytes after"));
  bytes[7] = std::byte{0xff};
  CHECK_THAT(error_of(bytes), ContainsSubstring("expected a header of at most 100000000 bytes"));
  CHECK_THAT(error_of(std::string{}), ContainsSubstring("byte 8: expected the header to begin with '{'"));
  CHECK_THAT(error_of(" " + one_float, 4), ContainsSubstring("expected the header to begin with '{'"));
}

TEST_CASE("safetensors: a header that is not the JSON it should be") {
  struct Case {
    std::string header, expectation;
  };
  const auto [header, expectation] = GENERATE(values<Case>({
      {"{",
       "byte 9: expected JSON, got the end of the header: syntax error while parsing object key - unexpected "
       "end of input; expected string literal"},
      {"{}x",
       "byte 10: expected JSON, got 'x': syntax error while parsing value - invalid literal; expected end of "
       "input"},
      {"{}{",
       "byte 10: expected JSON, got '{': syntax error while parsing value - unexpected '{'; expected end"},
      {std::string("{}\0", 3), "byte 10: expected JSON, got byte 0"},
      {std::string("{}\0x", 4), "byte 10: expected JSON, got byte 0"},
      {"{\"a\":{}", "byte 9: expected dtype, shape and data_offsets of tensor a"},
      {"{\"__metadata__\":{}", "byte 26: expected JSON, got the end of the header"},
      {"[]", "begin with '{'"},
      {"{\"a\"}",
       "byte 12: expected JSON, got '}': syntax error while parsing object separator - unexpected '}'; "
       "expected ':'"},
      {"{\"a\":1}", "byte 13: expected '{', got '1'"},
      {"{\"a\":1e999}", "byte 13: expected '{', got '1'"},
      {"{\"a\": null}", "byte 14: expected '{', got 'n'"},
      {"{\"a\":[]}", "byte 13: expected '{', got '['"},
      {"{\"a\":nul}", "byte 16: expected JSON, got '}': syntax error while parsing value - invalid literal"},
      {"{\"a\":{},}", "byte 9: expected dtype, shape and data_offsets of tensor a"},
      {"{\"__metadata__\":{},}",
       "byte 27: expected JSON, got '}': syntax error while parsing object key - unexpected '}'"},
      {"{\"a",
       "byte 11: expected JSON, got the end of the header: syntax error while parsing object key - "
       "invalid string: missing closing quote; expected string literal"},
      {"{\"a\n\":{}}",
       "byte 11: expected JSON, got byte 10: syntax error while parsing object key - "
       "invalid string: control character U+000A (LF) must be escaped"},
      {"{\"\\q\":{}}",
       "byte 11: expected JSON, got 'q': syntax error while parsing object key - "
       "invalid string: forbidden character after backslash; expected string literal"},
      {"{\"\\ud800x\":{}}",
       "byte 16: expected JSON, got 'x': syntax error while parsing object key - invalid "
       "string: surrogate U+D800..U+DBFF must be followed by"},
      {"{\"\\udc00\":{}}",
       "byte 15: expected JSON, got '0': syntax error while parsing object key - invalid "
       "string: surrogate U+DC00..U+DFFF must follow"},
      {"{\"\\ud800\\u0041\":{}}",
       "byte 21: expected JSON, got '1': syntax error while parsing object key - "
       "invalid string: surrogate U+D800..U+DBFF must be followed by"},
      {"{\"\\u12g4\":{}}",
       "byte 14: expected JSON, got 'g': syntax error while parsing object key - invalid "
       "string: '\\u' must be followed by 4 hex digits"},
      {"{\"__metadata__\":{\"a\":1}}", "byte 29: expected a metadata value (a string), got '1'"},
      {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}",
       "byte 32: expected each metadata key once, got 'a' twice"},
      {"{\"__metadata__\":{\"a\\\"\":\"\" ,\n\"a\\u0022\":\"\"}}",
       "byte 36: expected each metadata key once, got 'a\"' twice"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", "byte 27: expected '__metadata__' once"},
      {R"({"a":{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}})",
       "byte 39: expected JSON, got ']': syntax error while parsing value - unexpected ']'"},
      {R"({"a":{"dtype":"F32","shape":[1,"data_offsets":[0,4]}})",
       "byte 39: expected an extent (an integer >= 0), got '\"'"},
      {R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0])",
       "got the end of the header: syntax error while parsing object - unexpected end of input; expected "
       "'}'"},
  }));
  CHECK_THAT(error_of(header), ContainsSubstring(expectation));
  CHECK_THAT(error_of(header), loru_test::StartsWith("some.safetensors: byte "));
}

TEST_CASE("safetensors: a tensor whose description is wrong") {
  struct Case {
    std::string tensor, expectation;
  };
  const auto [tensor, expectation] = GENERATE(values<Case>({
      {R"("dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4])",
       "expected dtype F32, F64, I32, I64, U8, I8, F16 or BF16 of tensor a, got 'F8_E4M3'"},
      {R"("dtype":32,"shape":[1],"data_offsets":[0,4])", "expected a dtype (a string), got '3'"},
      {R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])", "expected a dtype (a string), got '['"},
      {R"("dtype":"F32","shape":"1","data_offsets":[0,4])", "byte 36: expected '[', got '\"'"},
      {R"("dtype":"F32","shape":1,"data_offsets":[0,4])", "byte 36: expected '[', got '1'"},
      {R"("dtype":"F32","shape":{},"data_offsets":[0,4])", "byte 36: expected '[', got '{'"},
      {R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])",
       "expected an extent (an integer >= 0), got '['"},
      {R"("dtype":"F32","shape":[true],"data_offsets":[0,4])",
       "expected an extent (an integer >= 0), got 't'"},
      {R"("shape":[1],"data_offsets":[0,4])", "got not all of them"},
      {R"("dtype":"F32","data_offsets":[0,4])", "got not all of them"},
      {R"("dtype":"F32","shape":[1])", "got not all of them"},
      {R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])",
       "'dtype' of tensor a once, got it twice"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1)", "got 'more'"},
      {R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", "expected an extent (an integer >= 0), got '-'"},
      {R"("dtype":"F32","shape":[2, -0],"data_offsets":[0,4])",
       "byte 40: expected an extent (an integer >= 0)"},
      {R"("dtype":"F32","shape":[-9223372036854775809],"data_offsets":[0,4])", "got '-'"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[0,-4])", "expected an offset (an integer >= 0), got '-'"},
      {R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])", "got a fraction or exponent"},
      {R"("dtype":"F32","shape":[1e0],"data_offsets":[0,4])", "got a fraction or exponent"},
      {R"("dtype":"F32","shape":[1e999],"data_offsets":[0,4])", "got a fraction or exponent"},
      {R"("dtype":"F32","shape":[01],"data_offsets":[0,4])",
       "byte 38: expected JSON, got '1': syntax error while parsing array - unexpected number literal"},
      {R"("dtype":"F32","shape":[)" + std::string(400, '9') + R"(],"data_offsets":[0,4])",
       "byte 37: expected an extent below 2^63, got a larger one"},
      {R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4])", "below 2^63, got a larger one"},
      {R"("dtype":"F32","shape":[18446744073709551617],"data_offsets":[0,4])",
       "below 2^63, got a larger one"},
      {R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])", "less than 2^60 elements"},
      {R"("dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0])", "less than 2^60 elements"},
      {R"("dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,4])", "less than 2^60 elements"},
      {R"("dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4])",
       "at most 6 extents of tensor a, got 7"},
      {R"("dtype":"F32","shape":[2],"data_offsets":[0,4])",
       "expected 8 bytes for shape (2) of F32 tensor a, got 4"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[0,8])", "within the 4 bytes of data, got [0, 8]"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[4,0])", "within the 4 bytes of data, got [4, 0]"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[0])", "expected two data_offsets of tensor a, got 1"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])", "expected two data_offsets of tensor a, got 3"},
      {R"("dtype":"F32","shape":[1],"data_offsets":[9223372036854775807,9223372036854775807])",
       "within the 4 bytes"},
      {R"("dtype":"F32","shape":[0],"data_offsets":[4,4])", "to begin at 0, got 4 (a hole)"},
  }));
  const std::string error = error_of("{\"a\":{" + tensor + "}}", 4);
  CHECK_THAT(error, ContainsSubstring(expectation));
  CHECK_THAT(error, loru_test::StartsWith("some.safetensors: byte "));
}

TEST_CASE("safetensors: tensors that do not fit together") {
  const auto pair = [](const char* name, const char* first, const char* second) {
    return std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)") + first + "},\"" + name +
           R"(":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}";
  };
  CHECK(error_of(pair("b", "[0,2]", "[2,4]"), 4) == "no error");
  CHECK_THAT(error_of(pair("b", "[0,2]", "[1,3]"), 3),
             ContainsSubstring("byte 61: expected data of tensor b to begin at 2, got 1 (an overlap)"));
  CHECK_THAT(error_of(pair("b", "[0,2]", "[0,2]"), 2), ContainsSubstring("(an overlap)"));
  CHECK_THAT(error_of(pair("b", "[0,2]", "[3,5]"), 5), ContainsSubstring("to begin at 2, got 3 (a hole)"));
  CHECK_THAT(error_of(pair("b", "[1,3]", "[3,5]"), 5), ContainsSubstring("to begin at 0, got 1 (a hole)"));
  CHECK_THAT(error_of(pair("a", "[0,2]", "[2,4]"), 4), ContainsSubstring("each name once, got 'a' twice"));
  CHECK_THAT(error_of(pair("\\u0061", "[0,2]", "[2,4]"), 4),
             ContainsSubstring("each name once, got 'a' twice"));
  CHECK_THAT(error_of(one_float, 9), ContainsSubstring("got 5 bytes more"));
}

TEST_CASE("safetensors: files") {
  const auto folder = std::filesystem::temp_directory_path() / "loru-test-safetensors";
  io::make_directories(folder);
  const auto path = folder / "model.safetensors";
  io::Archive archive;
  archive.put("w", ramp<float>({2, 3}));
  archive.put("labels", ramp<std::int64_t>({4}));
  archive.metadata()["alpha"] = "16";
  io::save(path, archive);
  CHECK(io::read_file(path) == io::serialise(archive));
  const io::Archive back = io::load(path);
  CHECK(back.origin() == path.native());
  CHECK(back.get<std::int64_t>("labels", {4}).data()[3] == 4);
  io::write_file(path, "not a model");
  CHECK_THROWS_WITH(io::load(path), ContainsSubstring(path.native() + ": byte 0: expected a header"));
  CHECK_THROWS_AS(io::load(folder / "absent"), IoError);
  std::filesystem::remove_all(folder);
}
