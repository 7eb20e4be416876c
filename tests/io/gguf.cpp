#include <loru/io/gguf.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "support/catch.hpp"
#include "support/gguf_file.hpp"

using namespace loru;
using loru_test::ContainsSubstring;
using loru_test::GgufFile;

namespace {

using Bytes = GgufFile::Bytes;

std::string error_of(Bytes bytes) {
  try {
    static_cast<void>(io::Gguf::parse(std::move(bytes), "f.gguf"));
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

template <class T>
Bytes array(std::uint32_t type, std::vector<T> values) {
  Bytes all = GgufFile::joined(GgufFile::of(9u), GgufFile::of(type));
  all = GgufFile::joined(std::move(all), GgufFile::of(std::uint64_t{values.size()}));
  for (const T value : values) all = GgufFile::joined(std::move(all), GgufFile::of(value));
  return all;
}

/// Bytes of blocks: a fixed pattern, with the halves that stand at the beginning of each given.
Bytes blocks(Index count, Index size, std::vector<std::uint16_t> halves) {
  Bytes out(static_cast<std::size_t>(count * size));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 37 + 11);
  for (Index b = 0; b < count; ++b)
    std::memcpy(out.data() + b * size, halves.data(), halves.size() * sizeof halves[0]);
  return out;
}

std::vector<float> floats_of(const BlockTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.size()));
  decode_rows(tensor, 0, tensor.rows(), values.data());
  return values;
}

}  // namespace

TEST_CASE("gguf: metadata of every kind") {
  GgufFile file;
  file.number("u8", std::uint8_t{200});
  file.number("i8", std::int8_t{-100});
  file.number("u16", std::uint16_t{60000});
  file.number("i16", std::int16_t{-30000});
  file.number("u32", std::uint32_t{4000000000});
  file.number("i32", std::int32_t{-5});
  file.number("u64", std::numeric_limits<std::uint64_t>::max());
  file.number("i64", std::numeric_limits<std::int64_t>::min());
  file.number("f32", 1.5f);
  file.number("f64", 0.1);
  file.number("yes", true);
  file.text("text", "h\xc3\xa9");
  file.texts("texts", {"a", "", "b"});
  file.raw("u8s", array<std::uint8_t>(0, {1, 2, 255}));
  file.raw("i8s", array<std::int8_t>(1, {-1, 2}));
  file.raw("u16s", array<std::uint16_t>(2, {60000}));
  file.raw("i16s", array<std::int16_t>(3, {-7}));
  file.raw("u32s", array<std::uint32_t>(4, {4000000000}));
  file.raw("i32s", array<std::int32_t>(5, {-9, 8}));
  file.raw("f32s", array<float>(6, {0.25f}));
  file.raw("flags", array<std::uint8_t>(7, {1, 0}));
  file.raw("u64s", array<std::uint64_t>(10, {1}));
  file.raw("i64s", array<std::int64_t>(11, {-1}));
  file.raw("f64s", array<double>(12, {0.1, 0.2}));
  Bytes nested = GgufFile::joined(GgufFile::of(9u), GgufFile::of(9u));
  nested = GgufFile::joined(std::move(nested), GgufFile::of(std::uint64_t{1}));
  const Bytes inner = array<std::int32_t>(5, {3, 4});
  nested.insert(nested.end(), inner.begin() + 4, inner.end());
  file.raw("nested", nested);

  const io::Gguf g = io::Gguf::parse(file.bytes(), "f.gguf");
  CHECK(g.metadata.size() == 25);
  CHECK(g.whole("u8", 0, 255) == 200);
  CHECK(g.whole("i8", -128, 127) == -100);
  CHECK(g.whole("u16", 0, 65535) == 60000);
  CHECK(g.whole("i16", -32768, 0) == -30000);
  CHECK(g.whole("u32", 0, Index{1} << 40) == 4000000000);
  CHECK(g.whole("i32", -9, 9) == -5);
  CHECK(std::get<std::uint64_t>(g.metadata.at("u64").value) == std::numeric_limits<std::uint64_t>::max());
  CHECK(std::get<std::int64_t>(g.metadata.at("i64").value) == std::numeric_limits<std::int64_t>::min());
  CHECK(g.number("f32") == 1.5);
  CHECK(g.number("f64") == 0.1);
  CHECK(g.flag("yes"));
  CHECK(g.text("text") == "h\xc3\xa9");
  CHECK(g.texts("texts") == std::vector<std::string>{"a", "", "b"});
  CHECK(g.wholes("u8s") == std::vector<std::int64_t>{1, 2, 255});
  CHECK(g.wholes("i8s") == std::vector<std::int64_t>{-1, 2});
  CHECK(g.wholes("u16s") == std::vector<std::int64_t>{60000});
  CHECK(g.wholes("i16s") == std::vector<std::int64_t>{-7});
  CHECK(g.wholes("u32s") == std::vector<std::int64_t>{4000000000});
  CHECK(g.wholes("i32s") == std::vector<std::int64_t>{-9, 8});
  CHECK(g.wholes("u64s") == std::vector<std::int64_t>{1});
  CHECK(g.wholes("i64s") == std::vector<std::int64_t>{-1});
  CHECK(g.numbers("f32s") == std::vector<double>{0.25});
  CHECK(g.numbers("f64s") == std::vector<double>{0.1, 0.2});
  CHECK(std::get<std::vector<bool>>(g.metadata.at("flags").value) == std::vector<bool>{true, false});
  const auto& lists = std::get<std::vector<io::GgufValue>>(g.metadata.at("nested").value);
  REQUIRE(lists.size() == 1);
  CHECK(std::get<std::vector<std::int64_t>>(lists[0].value) == std::vector<std::int64_t>{3, 4});

  CHECK_THROWS_WITH(g.text("none"), "f.gguf: expected the key none in the metadata, got none");
  CHECK_THROWS_WITH(g.text("u8"), "f.gguf: u8: expected a string, got another type");
  CHECK_THROWS_WITH(g.whole("u8", 0, 9), "f.gguf: u8: expected a whole number in 0 .. 9, got 200");
  CHECK_THROWS_WITH(g.number("u8"), "f.gguf: u8: expected a number, got another type");
}

TEST_CASE("gguf: tensors of every type, decoded as their definitions say") {
  // 0x3400 is 0.25 as a half, 0xC100 is -2.5.
  GgufFile file;
  file.floats("f32", {3, 2}, {1, 2, 3, 4, 5, 6});
  file.tensor("f16", {2}, 1, {std::byte{0x00}, std::byte{0x34}, std::byte{0x00}, std::byte{0xC1}});
  file.tensor("bf16", {2}, 30, {std::byte{0x80}, std::byte{0x3F}, std::byte{0x20}, std::byte{0xC0}});
  file.tensor("q8_0", {64, 2}, 8, blocks(4, 34, {0x3400}));
  file.tensor("q4_0", {32, 3}, 2, blocks(3, 18, {0x3400}));
  file.tensor("q4_1", {64, 1}, 3, blocks(2, 20, {0x3400, 0xC100}));
  const io::Gguf g = io::Gguf::parse(file.bytes(), "f.gguf");

  CHECK(g.tensor("f32").shape == Shape{2, 3});
  CHECK(floats_of(g.tensor("f32")) == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(floats_of(g.tensor("f16")) == std::vector<float>{0.25f, -2.5f});
  CHECK(floats_of(g.tensor("bf16")) == std::vector<float>{1.0f, -2.5f});

  const auto byte = [](std::size_t i) { return (i * 37 + 11) & 255; };
  const auto eight = floats_of(g.tensor("q8_0"));
  const auto four = floats_of(g.tensor("q4_0"));
  const auto four_and_least = floats_of(g.tensor("q4_1"));
  for (std::size_t b = 0; b < 4; ++b)
    for (std::size_t i = 0; i < 32; ++i)
      CHECK(eight[b * 32 + i] == 0.25f * static_cast<float>(static_cast<std::int8_t>(byte(b * 34 + 2 + i))));
  const auto nibble = [&](std::size_t begin, std::size_t i) {
    const std::size_t both = byte(begin + i % 16);
    return static_cast<float>(i < 16 ? both & 15 : both >> 4);
  };
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t i = 0; i < 32; ++i) CHECK(four[b * 32 + i] == 0.25f * (nibble(b * 18 + 2, i) - 8.0f));
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t i = 0; i < 32; ++i)
      CHECK(four_and_least[b * 32 + i] == 0.25f * nibble(b * 20 + 4, i) - 2.5f);

  std::vector<float> row(64);
  decode_rows(g.tensor("q8_0"), 1, 1, row.data());
  CHECK(row == std::vector<float>(eight.begin() + 64, eight.end()));
  CHECK_THROWS_WITH(decode_rows(g.tensor("q8_0"), 1, 2, row.data()),
                    "decode: expected rows in [0, 2), got 2 from 1");
  CHECK_THROWS_WITH(g.tensor("none"), "f.gguf: expected a tensor named 'none', got none among 6");
}

TEST_CASE("gguf: an alignment of its own") {
  GgufFile file;
  file.number("general.alignment", std::uint32_t{64});
  file.floats("a", {1}, {1.5f});
  file.floats("b", {1}, {2.5f});
  const io::Gguf g = io::Gguf::parse(file.bytes(64), "f.gguf");
  CHECK(floats_of(g.tensor("b")) == std::vector<float>{2.5f});
  CHECK_THAT(error_of(file.bytes(32)),
             ContainsSubstring("tensor b: expected a place that is a multiple of 64"));
  file.number("general.alignment", std::uint32_t{0});
  CHECK_THAT(error_of(file.bytes()),
             ContainsSubstring("general.alignment: expected a whole number in 8 .. "));
}

TEST_CASE("gguf: every beginning of a file is refused in one line") {
  GgufFile file;
  file.text("name", "x");
  file.texts("list", {"a", "b"});
  file.floats("t", {4}, {1, 2, 3, 4});
  Bytes whole = file.bytes();
  whole.resize(whole.size() - 16);  // the padding of the last tensor
  CHECK(error_of(whole) == "no error");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string error =
        error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    INFO(size);
    CHECK_THAT(error, loru_test::StartsWith("f.gguf: byte "));
    CHECK(error.find('\n') == error.npos);
  }
}

TEST_CASE("gguf: hostile files") {
  const auto with = [](auto change) {
    GgufFile file;
    file.floats("t", {4}, {1, 2, 3, 4});
    change(file);
    return error_of(file.bytes());
  };
  Bytes version = GgufFile{}.bytes();
  version[4] = std::byte{2};
  CHECK(error_of(version) == "f.gguf: byte 8: expected version 3, got 2");
  CHECK(error_of({std::byte{'G'}, std::byte{'G'}, std::byte{'M'}, std::byte{'L'}}) ==
        "f.gguf: byte 4: expected the magic GGUF");
  CHECK_THAT(with([](GgufFile& f) { f.raw("k", GgufFile::of(13u)); }),
             ContainsSubstring("expected a type in 0 .. 12, got 13"));
  CHECK_THAT(with([](GgufFile& f) {
               f.raw("k", GgufFile::joined(GgufFile::joined(GgufFile::of(9u), GgufFile::of(0u)),
                                           GgufFile::of(std::numeric_limits<std::uint64_t>::max())));
             }),
             ContainsSubstring("expected an array of 18446744073709551615 values of at least 1 bytes"));
  CHECK_THAT(with([](GgufFile& f) {
               f.raw("k", GgufFile::joined(GgufFile::of(8u),
                                           GgufFile::of(std::numeric_limits<std::uint64_t>::max())));
             }),
             ContainsSubstring("expected 18446744073709551615 bytes of a string"));
  CHECK_THAT(with([](GgufFile& f) { f.raw("k", {std::byte{7}, {}, {}, {}, std::byte{2}}); }),
             ContainsSubstring("expected true or false as 1 or 0, got 2"));
  CHECK_THAT(with([](GgufFile& f) { f.tensor("u", {1u << 30, 1u << 30}, 0, {}); }),
             ContainsSubstring("expected extents from 1, with less than 2^56 weights, of tensor u"));
  CHECK_THAT(with([](GgufFile& f) { f.tensor("u", {0}, 0, {}); }),
             ContainsSubstring("expected extents from 1"));
  CHECK_THAT(with([](GgufFile& f) { f.tensor("u", {1, 1, 1, 1, 1}, 0, {}); }),
             ContainsSubstring("expected 1 to 4 extents of tensor u, got 5"));
  CHECK_THAT(with([](GgufFile& f) { f.tensor("u", {33}, 3, {}); }),
             ContainsSubstring("expected rows of a multiple of 32 weights of Q4_1 tensor u, got 33"));
  CHECK_THAT(with([](GgufFile& f) { f.tensor("u", {32}, 6, {}); }),
             ContainsSubstring("expected type F32, F16, BF16, Q8_0, Q4_0 or Q4_1 of tensor u, got number 6"));
  CHECK_THAT(with([](GgufFile& f) { f.tensor("u", {1u << 20}, 0, {}); }),
             ContainsSubstring("tensor u: expected 4194304 bytes from 32 within the 32 bytes of data"));
  CHECK_THAT(with([](GgufFile& f) { f.floats("t", {1}, {1}); }),
             ContainsSubstring("tensor t: expected each name once"));
  Bytes deep = GgufFile::of(9u);
  for (int i = 0; i < 40; ++i)
    deep =
        GgufFile::joined(std::move(deep), GgufFile::joined(GgufFile::of(9u), GgufFile::of(std::uint64_t{1})));
  CHECK_THAT(with([&](GgufFile& f) { f.raw("k", deep); }),
             ContainsSubstring("expected arrays at most 4 deep, got more"));
}
