#include <loru/data/file.hpp>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;
using loru_test::counting;
using loru_test::gzip;
using loru_test::joined;

TEST_CASE("files: plain and gzip are told apart by content") {
  const loru_test::Folder folder;
  const auto bytes = counting(100000);
  const auto plain = data::read_content(folder.write("plain.gz", bytes));
  CHECK(plain.bytes == bytes);
  CHECK_FALSE(plain.unzipped);
  CHECK(plain.at(7) == (folder.path / "plain.gz").string() + ": byte 7");
  const auto zipped = data::read_content(folder.write("zipped", gzip(bytes)));
  CHECK(zipped.bytes == bytes);
  CHECK(zipped.unzipped);
  CHECK_THAT(zipped.at(7), loru_test::EndsWith("zipped: byte 7 (unzipped)"));
  CHECK(data::read_content(folder.write("empty", {})).bytes.empty());
  CHECK(data::read_content(folder.write("zipped-empty", gzip({}))).bytes.empty());
}

TEST_CASE("files: gzip of several members, and of far more bytes than it promises") {
  const loru_test::Folder folder;
  const loru_test::Bytes zeros(3'000'000, 0);
  const auto two = joined(gzip(zeros), gzip(counting(10)));
  CHECK(data::read_content(folder.write("two.gz", two)).bytes == joined(zeros, counting(10)));
}

TEST_CASE("files: gzip is unzipped no further than the format needs") {
  const loru_test::Folder folder;
  const auto bytes = counting(3'000'000);
  const auto path = folder.write("long.gz", gzip(bytes));
  const auto first = [&](std::size_t asked) {
    return data::read_content(path, [&](auto begin) {
      CHECK(begin.size() == 64);
      return asked;
    });
  };
  CHECK(first(100'000).bytes == loru_test::Bytes(bytes.begin(), bytes.begin() + 100'001));
  CHECK(first(1).size() == 65);
  CHECK(first(bytes.size()).bytes == bytes);
  CHECK(first(std::size_t{1} << 60).bytes == bytes);
  const auto small = folder.write("small.gz", gzip(counting(10)));
  CHECK(data::read_content(small, [](auto) { return std::size_t{1} << 60; }).bytes == counting(10));
}

TEST_CASE("files: broken gzip names path, byte and zlib's error") {
  const loru_test::Folder folder;
  auto bytes = gzip(counting(50000, 251));
  const auto cut =
      loru_test::Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2));
  CHECK_THROWS_AS(data::read_content(folder.write("cut.gz", cut)), DataError);
  CHECK_THROWS_WITH(data::read_content(folder.write("cut.gz", cut)),
                    ContainsSubstring("cut.gz: byte " + std::to_string(cut.size()) + ": truncated gzip"));
  CHECK_THROWS_WITH(data::read_content(folder.write("head.gz", {0x1f, 0x8b})),
                    ContainsSubstring("truncated gzip"));
  auto checksum = bytes;
  checksum[checksum.size() - 6] ^= 0xff;
  CHECK_THROWS_WITH(data::read_content(folder.write("crc.gz", checksum)),
                    ContainsSubstring("crc.gz: byte ") && ContainsSubstring("corrupt gzip: zlib error -3"));
  bytes[10] = 0xff;  // the first block's type
  CHECK_THROWS_WITH(data::read_content(folder.write("block.gz", bytes)),
                    ContainsSubstring("invalid block type"));
  CHECK_THROWS_WITH(data::read_content(folder.write("tail.gz", joined(gzip({1, 2, 3}), {9, 9, 9, 9}))),
                    ContainsSubstring("corrupt gzip") && ContainsSubstring("incorrect header check"));
}

TEST_CASE("files: what cannot be read is an IoError") {
  const loru_test::Folder folder;
  CHECK_THROWS_AS(data::read_content(folder.path / "none"), IoError);
  CHECK_THROWS_WITH(data::read_content(folder.path / "none"),
                    ContainsSubstring("none: expected a readable file"));
  CHECK_THROWS_AS(data::read_content(folder.path), IoError);
}
