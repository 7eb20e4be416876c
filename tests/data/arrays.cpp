// A person's own arrays: what they become, and how what is wrong with them is named.
#include <loru/data/arrays.hpp>
#include <loru/data/load.hpp>
#include <loru/io/safetensors.hpp>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

template <class V>
Tensor<V> tensor(const Shape& shape, const std::vector<V>& values) {
  Tensor<V> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

/// Two samples of two features, and what else is put in.
struct Arrays {
  io::Archive archive{"arrays"};
  Arrays() { x(tensor<float>({2, 2}, {1, 2, 3, 6})); }
  template <class V>
  Arrays& x(const Tensor<V>& t) {
    archive.put("x", t);
    return *this;
  }
  template <class V>
  Arrays& y(const Shape& shape, const std::vector<V>& values) {
    archive.put("y", tensor<V>(shape, values));
    return *this;
  }
};

using Ints = std::vector<std::int32_t>;
using Floats = std::vector<float>;
using Bytes = std::vector<std::uint8_t>;

}  // namespace

TEST_CASE("arrays: vectors with classes, normalised by the training file") {
  const loru_test::Folder folder;
  Arrays train, test;
  train.y<std::int32_t>({2}, {0, 2}).archive.put("client", tensor<std::int32_t>({2}, {5, 3}));
  test.y<std::int32_t>({2}, {1, 1});
  io::save(folder.path / "a.safetensors", train.archive);
  io::save(folder.path / "b.safetensors", test.archive);
  const data::Split split = data::load(
      {.name = "safetensors", .dir = folder.path, .arrays = {"a.safetensors", "b.safetensors", true}});
  CHECK(split.train.sample == Shape{2});
  CHECK(split.train.classes == 3);
  CHECK(split.test.classes == 3);
  CHECK(split.train.groups == Ints{5, 3});
  CHECK(split.train.normalisation.mean == std::vector<double>{2.0, 4.0});
  CHECK(split.test.normalisation.deviation == std::vector<double>{1.0, 2.0});
  CHECK(data::arrays({"a.safetensors", "b.safetensors"}, folder.path).train.normalisation.mean.empty());
}

TEST_CASE("arrays: images of bytes with numbers, and several labels") {
  const loru_test::Folder folder;
  const data::Path path = folder.path / "a.safetensors";
  Arrays arrays;
  arrays.x(tensor<std::uint8_t>({2, 2, 1}, {0, 255, 51, 0}));
  io::save(path, arrays.y<float>({2, 3}, Floats(6, 0.5f)).archive);
  const data::Dataset images = data::read_arrays(path);
  CHECK(images.sample == Shape{1, 2, 1});
  CHECK(images.normalisation.unit == 1.0 / 255.0);
  CHECK(std::get<data::Numbers>(images.targets).width == 3);
  arrays.x(tensor<std::uint8_t>({2, 3, 1, 1}, Bytes(6, 1)));
  io::save(path, arrays.y<std::uint8_t>({2, 1}, {0, 1}).archive);
  CHECK(data::read_arrays(path).sample == Shape{3, 1, 1});
  CHECK(std::get<data::Flags>(data::read_arrays(path).targets).values == Bytes{0, 1});
  arrays.archive.erase("y");
  io::save(path, arrays.archive);
  CHECK(data::read_samples(path).size() == 2);
}

TEST_CASE("arrays: what is wrong is one line that names the file") {
  const loru_test::Folder folder;
  const auto complaint = [&](const io::Archive& archive) -> std::string {
    io::save(folder.path / "a.safetensors", archive);
    try {
      data::read_arrays(folder.path / "a.safetensors");
    } catch (const DataError& error) {
      return std::string(error.what()).substr((folder.path / "").string().size());
    }
    return "";
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(complaint(Arrays().archive), ContainsSubstring("expected a tensor named 'y'"));
  CHECK_THAT(complaint(io::Archive()), ContainsSubstring("expected a tensor named 'x'"));
  CHECK(complaint(Arrays().y<std::int32_t>({2}, {0, -1}).archive) ==
        "a.safetensors: tensor y: sample 1: expected a number >= 0, got -1");
  CHECK(complaint(Arrays().y<std::int32_t>({3}, {0, 1, 1}).archive) ==
        "a.safetensors: tensor y: expected I32 (2), one for each sample of x, got I32 (3)");
  CHECK(complaint(Arrays().y<float>({3, 1}, {0, 1, 1}).archive) ==
        "a.safetensors: tensor y: expected I32 (2), F32 (2, k) or U8 (2, k) for the 2 samples of x, got F32 "
        "(3, 1)");
  CHECK_THAT(complaint(Arrays().y<std::int64_t>({2}, {0, 1}).archive), ContainsSubstring("got I64 (2)"));
  CHECK(complaint(Arrays().y<float>({2, 1}, {0, nan}).archive) ==
        "a.safetensors: sample 1: expected finite targets, got nan");
  CHECK(complaint(Arrays().y<std::uint8_t>({2, 1}, {0, 2}).archive) ==
        "a.safetensors: sample 1: expected labels of 0 or 1, got 2");
  const Arrays good = Arrays().y<std::int32_t>({2}, {0, 1});
  CHECK(complaint(good.archive).empty());
  CHECK(complaint(Arrays(good).x(tensor<float>({2, 2}, {1, 2, nan, 3})).archive) ==
        "a.safetensors: sample 1: expected finite features, got nan");
  CHECK_THAT(complaint(Arrays(good).x(tensor<float>({2}, {1, 2})).archive),
             ContainsSubstring("expected (N, n), (N, H, W) or (N, C, H, W), got (2)"));
  CHECK_THAT(complaint(Arrays(good).x(tensor<double>({2, 1}, {1, 2})).archive),
             ContainsSubstring("tensor x: expected F32 or U8, got F64"));
  CHECK_THAT(complaint(Arrays(good).x(Tensor<float>(Shape{0, 2})).archive),
             ContainsSubstring("expected at least one sample of one feature, got (0, 2)"));
  Arrays clients = good;
  clients.archive.put("client", tensor<std::int32_t>({2}, {0, -4}));
  CHECK(complaint(clients.archive) ==
        "a.safetensors: tensor client: sample 1: expected a number >= 0, got -4");
}

TEST_CASE("arrays: two files that do not fit together") {
  const loru_test::Folder folder;
  const auto complaint = [&](const io::Archive& test) -> std::string {
    io::save(folder.path / "a", Arrays().y<std::int32_t>({2}, {0, 1}).archive);
    io::save(folder.path / "b", test);
    try {
      data::arrays({"a", "b"}, folder.path);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(complaint(Arrays().y<std::int32_t>({2}, {1, 1}).archive).empty());
  CHECK_THAT(complaint(Arrays().y<std::int32_t>({2}, {0, 2}).archive),
             ContainsSubstring("b: sample 1: expected a label in [0, 2), got 2"));
  CHECK_THAT(complaint(Arrays().y<float>({2, 1}, {0, 2}).archive),
             ContainsSubstring("b: expected targets that are classes as in "));
  CHECK_THAT(complaint(Arrays().x(tensor<float>({2, 1}, {0, 2})).y<std::int32_t>({2}, {0, 1}).archive),
             ContainsSubstring("b: expected samples of shape (2) as in "));
  CHECK_THROWS_WITH(data::arrays({"a", ""}, folder.path),
                    "safetensors: expected two files, data.train and data.test, got \"a\" and \"\"");
}
