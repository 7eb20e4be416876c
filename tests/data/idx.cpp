#include <loru/data/idx.hpp>
#include <loru/data/mnist.hpp>

#include <cmath>
#include <string>
#include <variant>
#include <vector>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;
using loru_test::counting;
using loru_test::gzip;
using loru_test::idx;

using Unsigned = std::vector<std::uint8_t>;
using Signed = std::vector<std::int16_t>;

TEST_CASE("idx: 8- and 16-bit values of ranks 1 to 4, plain and gzip") {
  const loru_test::Folder folder;
  const auto bytes = data::read_idx(folder.write("u8", idx(0x08, {2, 3}, {1, 2, 3, 4, 5, 255})));
  CHECK(bytes.shape == Shape{2, 3});
  CHECK(std::get<Unsigned>(bytes.values) == Unsigned{1, 2, 3, 4, 5, 255});
  const auto zipped = data::read_idx(folder.write("u8.gz", gzip(idx(0x08, {1, 1, 2, 2}, counting(4)))));
  CHECK(zipped.shape == Shape{1, 1, 2, 2});
  CHECK(std::get<Unsigned>(zipped.values) == Unsigned{0, 1, 2, 3});
  const auto i8 = data::read_idx(folder.write("i8", idx(0x09, {3}, {0, 127, 0xff})));
  CHECK(std::get<Signed>(i8.values) == Signed{0, 127, -1});
  const auto i16 =
      data::read_idx(folder.write("i16", idx(0x0b, {1, 2, 2}, {0, 1, 1, 0, 0x7f, 0xff, 0xff, 0xfe})));
  CHECK(i16.shape == Shape{1, 2, 2});
  CHECK(std::get<Signed>(i16.values) == Signed{1, 256, 32767, -2});
  CHECK(data::read_idx(folder.write("none", idx(0x08, {0, 28, 28}, {}))).shape == Shape{0, 28, 28});
}

TEST_CASE("idx: malformed files name path, byte and expectation") {
  const loru_test::Folder folder;
  const auto message = [&](const loru_test::Bytes& bytes) {
    const auto path = folder.write("file", bytes);
    CHECK_THROWS_AS(data::read_idx(path), DataError);
    try {
      data::read_idx(path);
    } catch (const Error& error) {
      const std::string text = error.what();
      REQUIRE(text.starts_with(path.string() + ": "));
      return text.substr(path.string().size() + 2);
    }
    return std::string{};
  };
  const std::string magic =
      "byte 0: bad magic: expected 00 00, a type 08, 09 or 0b and a rank 01 to 04, got ";
  CHECK(message({1, 0, 8, 1, 0, 0, 0, 0}) == magic + "01 00 08 01");
  CHECK(message(idx(0x0d, {1}, {0, 0, 0, 0})) == magic + "00 00 0d 01");
  CHECK(message({0, 0, 8, 5, 0, 0, 0, 1}) == magic + "00 00 08 05");
  CHECK(message({0, 0, 8, 0}) == magic + "00 00 08 00");
  CHECK(message({}) == "byte 0: truncated: expected 4 bytes of magic, got 0");
  CHECK(message({0, 0, 8}) == "byte 3: truncated: expected 4 bytes of magic, got 3");
  CHECK(message({0, 0, 8, 2, 0, 0, 0, 1, 0}) == "byte 9: truncated: expected a header of 12 bytes, got 9");
  CHECK(message(idx(0x08, {3, 2}, counting(5))) ==
        "byte 17: truncated: shape (3, 2) of 1-byte values needs more than the 5 bytes after the header");
  CHECK(message(idx(0x0b, {3}, counting(5))) ==
        "byte 13: truncated: shape (3) of 2-byte values needs more than the 5 bytes after the header");
  CHECK(message(idx(0x08, {3, 2}, counting(8))) ==
        "byte 18: expected the end of the file after shape (3, 2), got 2 more bytes");
  CHECK_THAT(message(gzip(idx(0x08, {3, 2}, counting(5)))),
             ContainsSubstring("byte 17 (unzipped): truncated"));
  CHECK(message(gzip(idx(0x08, {3, 20}, counting(5'000'000)))) ==
        "byte 72 (unzipped): expected the end of the file after shape (3, 20), got more");
}

TEST_CASE("idx: extents whose product overflows are truncated files, not allocations") {
  const loru_test::Folder folder;
  const std::uint32_t huge = 0xffffffffu;
  for (const auto& extents : {std::vector<std::uint32_t>{huge},
                              {huge, huge},
                              {huge, huge, huge, huge},
                              {1u << 31, 1u << 31, 4, 1}}) {
    const auto path = folder.write("huge", idx(0x0b, extents, counting(64)));
    CHECK_THROWS_WITH(data::read_idx(path), ContainsSubstring("truncated: shape"));
  }
  CHECK_THROWS_WITH(data::read_idx(folder.write("zero", idx(0x08, {huge, huge, huge, 0}, counting(3)))),
                    ContainsSubstring("byte 20: expected the end of the file"));
  CHECK_THROWS_WITH(data::read_idx(folder.write("zero", idx(0x08, {huge, huge, huge, 0}, {}))),
                    ContainsSubstring("byte 4: expected extents with a product below 2^60"));
  CHECK(data::read_idx(folder.write("empty", idx(0x08, {0, 7, 5}, {}))).shape == Shape{0, 7, 5});
}

TEST_CASE("idx: four files become a split, train first") {
  const loru_test::Folder folder;
  loru_test::write_mnist(folder, "", 20, 10);
  const data::Split split = data::mnist(folder.path);
  CHECK(split.train.name == "mnist");
  CHECK(split.train.size() == 20);
  CHECK(split.test.size() == 10);
  CHECK(split.train.sample == Shape{1, 3, 2});
  CHECK(split.train.classes == 10);
  CHECK(split.train.label(13) == 3);
  CHECK(std::get<Unsigned>(split.train.features) == counting(120));
  CHECK(split.train.normalisation.mean == std::vector{0.1307});
  CHECK(data::fashion_mnist(folder.path).test.normalisation.deviation == std::vector{0.3530});
}

TEST_CASE("idx: labels that do not belong to the images") {
  const loru_test::Folder folder;
  loru_test::write_mnist(folder, "", 4, 4);
  const auto read = [&] { data::mnist(folder.path); };
  SECTION("of another count") {
    folder.write("train-labels-idx1-ubyte", idx(0x08, {3}, counting(3)));
    CHECK_THROWS_WITH(read(),
                      ContainsSubstring("train-labels-idx1-ubyte: byte 4: expected 4 labels, one for each "
                                        "sample of ") &&
                          ContainsSubstring("train-images-idx3-ubyte, got 3"));
  }
  SECTION("outside the classes") {
    folder.write("t10k-labels-idx1-ubyte", idx(0x08, {4}, {0, 9, 10, 77}));
    CHECK_THROWS_WITH(read(),
                      ContainsSubstring("t10k-labels-idx1-ubyte: byte 10: sample 2: expected a label in "
                                        "[0, 10), got 10"));
  }
  SECTION("negative, of 16 bits") {
    folder.write("train-labels-idx1-ubyte", idx(0x0b, {4}, {0, 0, 0, 9, 0xff, 0xff, 0, 0}));
    CHECK_THROWS_WITH(read(), ContainsSubstring("byte 12: sample 2: expected a label in [0, 10), got -1"));
  }
  SECTION("of another rank") {
    folder.write("train-labels-idx1-ubyte", idx(0x08, {4, 1}, counting(4)));
    CHECK_THROWS_WITH(read(), ContainsSubstring("byte 3: expected labels of rank 1, got shape (4, 1)"));
  }
  SECTION("images and labels exchanged") {
    folder.write("train-images-idx3-ubyte", idx(0x08, {4}, counting(4)));
    CHECK_THROWS_WITH(read(), ContainsSubstring("byte 3: expected images of rank 2 to 4, got shape (4)"));
  }
  SECTION("no images at all") {
    folder.write("train-images-idx3-ubyte", idx(0x08, {0, 3, 2}, {}));
    CHECK_THROWS_WITH(read(),
                      ContainsSubstring("expected at least one image of one pixel, got shape (0, 3, 2)"));
  }
  SECTION("test images of another shape") {
    folder.write("t10k-images-idx3-ubyte", idx(0x08, {4, 2, 2}, counting(16)));
    CHECK_THROWS_WITH(
        read(), ContainsSubstring("t10k-images-idx3-ubyte: byte 4: expected images of shape (1, 3, 2)"));
  }
}

TEST_CASE("idx: the first bad file in reading order is the one named") {
  const loru_test::Folder folder;
  folder.write("train-images-idx3-ubyte", {1, 2, 3, 4});
  CHECK_THROWS_WITH(data::mnist(folder.path),
                    ContainsSubstring("train-images-idx3-ubyte: byte 0: bad magic"));
  folder.write("train-images-idx3-ubyte", idx(0x08, {2, 3, 2}, counting(12)));
  CHECK_THROWS_WITH(data::mnist(folder.path),
                    ContainsSubstring("mnist: expected train-labels-idx1-ubyte or"));
}

TEST_CASE("idx: a person's own files") {
  const loru_test::Folder folder;
  data::IdxFiles files{"a", "b", "c", "d"};
  SECTION("colour images of 8 bits, gzip beside the name") {
    folder.write("a.gz", gzip(idx(0x08, {3, 2, 1, 2}, {0, 10, 7, 7, 20, 30, 7, 7, 0, 0, 7, 7})));
    folder.write("b", idx(0x0b, {3}, {0, 0, 0, 4, 0, 2}));
    folder.write("c", idx(0x08, {1, 2, 1, 2}, {1, 2, 3, 4}));
    folder.write("d", idx(0x08, {1}, {4}));
    const data::Split split = data::idx(files, folder.path);
    CHECK(split.train.sample == Shape{2, 1, 2});
    CHECK(split.train.classes == 5);
    CHECK(split.test.classes == 5);
    CHECK(split.test.normalisation.mean[0] == Approx(10.0 / 255));
    CHECK(split.test.normalisation.mean[1] == Approx(7.0 / 255));
    CHECK(split.test.normalisation.deviation[0] == Approx(std::sqrt(800 / 6.0) / 255));
    CHECK(split.test.normalisation.deviation[1] == 1.0);
  }
  SECTION("rows of 16 bits") {
    folder.write("a", idx(0x0b, {2, 2}, {0, 1, 0, 3, 0xff, 0xff, 1, 1}));
    folder.write("b", idx(0x08, {2}, {0, 1}));
    folder.write("c", idx(0x0b, {1, 2}, {0, 1, 0, 3}));
    folder.write("d", idx(0x08, {1}, {2}));
    CHECK_THROWS_WITH(data::idx(files, folder.path),
                      ContainsSubstring("d: byte 8: sample 0: expected a label in "
                                        "[0, 2), got 2"));
    folder.write("d", idx(0x08, {1}, {1}));
    const data::Split split = data::idx(files, folder.path);
    CHECK(split.train.sample == Shape{1, 1, 2});
    CHECK(std::get<std::vector<float>>(split.train.features) == std::vector<float>{1, 3, -1, 257});
    CHECK(split.train.normalisation.mean[0] == Approx(65.0));
  }
  SECTION("missing") { CHECK_THROWS_AS(data::idx(files, folder.path), IoError); }
}
