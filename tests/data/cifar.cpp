#include <loru/data/cifar.hpp>

#include <string>
#include <vector>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

/// Records of a label and an image whose bytes all are `shade`.
loru_test::Bytes record(const loru_test::Bytes& labels, std::uint8_t shade) {
  return loru_test::joined(labels, loru_test::Bytes(3072, shade));
}

}  // namespace

TEST_CASE("cifar10: batches in order, then the test batch") {
  const loru_test::Folder folder;
  for (std::uint8_t i = 1; i <= 5; ++i)
    folder.write("cifar-10-batches-bin/data_batch_" + std::to_string(i) + ".bin", record({i}, i));
  folder.write("cifar-10-batches-bin/test_batch.bin", loru_test::joined(record({9}, 90), record({0}, 91)));
  const data::Split split = data::cifar10(folder.path);
  CHECK(split.train.labels() == std::vector<std::int32_t>{1, 2, 3, 4, 5});
  CHECK(split.test.labels() == std::vector<std::int32_t>{9, 0});
  CHECK(split.train.sample == Shape{3, 32, 32});
  CHECK(std::get<std::vector<std::uint8_t>>(split.train.features)[3072] == 2);
  CHECK(std::get<std::vector<std::uint8_t>>(split.test.features).back() == 91);
  CHECK(data::cifar10(folder.path, 2).train.size() == 2);
  CHECK_THROWS_AS(data::cifar10(folder.path, 6), ConfigError);
  CHECK_THROWS_WITH(data::cifar10(folder.path, 0), "cifar10: batches: expected 1 to 5, got 0");
  std::filesystem::remove(folder.path / "cifar-10-batches-bin/data_batch_4.bin");
  CHECK_THROWS_WITH(data::cifar10(folder.path), ContainsSubstring("cifar10: expected data_batch_4.bin or ") &&
                                                    ContainsSubstring("get it with `./dev data cifar10`"));
}

TEST_CASE("cifar100: the fine label counts") {
  const loru_test::Folder folder;
  folder.write("train.bin", loru_test::joined(record({19, 99}, 1), record({0, 50}, 2)));
  folder.write("test.bin.gz", loru_test::gzip(record({3, 7}, 5)));
  const data::Split split = data::cifar100(folder.path);
  CHECK(split.train.labels() == std::vector<std::int32_t>{99, 50});
  CHECK(split.test.labels() == std::vector<std::int32_t>{7});
  CHECK(split.train.classes == 100);
  CHECK(std::get<std::vector<std::uint8_t>>(split.train.features)[3072] == 2);
}

TEST_CASE("cifar: wrong sizes and labels") {
  const loru_test::Folder folder;
  folder.write("train.bin", record({0, 1}, 1));
  folder.write("test.bin", loru_test::Bytes(3073, 0));
  CHECK_THROWS_WITH(
      data::cifar100(folder.path),
      ContainsSubstring("test.bin: byte 3073: wrong file size: expected a multiple of 3074 bytes (2 of "
                        "label, 3072 of image), got 3073"));
  folder.write("data_batch_1.bin", {});
  folder.write("test_batch.bin", record({0}, 1));
  CHECK_THROWS_WITH(data::cifar10(folder.path, 1),
                    ContainsSubstring("expected a multiple of 3073 bytes") && ContainsSubstring("got 0"));
  folder.write("data_batch_1.bin", loru_test::joined(record({9}, 1), record({10}, 1)));
  CHECK_THROWS_AS(data::cifar10(folder.path, 1), DataError);
  CHECK_THROWS_WITH(
      data::cifar10(folder.path, 1),
      ContainsSubstring("data_batch_1.bin: byte 3073: sample 1: expected a label in [0, 10), got 10"));
}
