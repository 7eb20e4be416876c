#include <loru/core/tensor.hpp>

#include <loru/core/error.hpp>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

TEST_CASE("shape: extents, size and text") {
  const Shape s{2, 3, 4};
  CHECK(s.rank() == 3);
  CHECK(s.size() == 24);
  CHECK(concat(s) == "(2, 3, 4)");
  CHECK(concat(Shape{}) == "()");
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{2, 0}.size() == 0);
  CHECK(Shape{2, 3} != Shape{3, 2});
  CHECK(Shape{2, 3} != Shape{2, 3, 1});
  CHECK_THROWS_WITH((Shape{2, -1}), "shape: expected an extent >= 0, got -1");
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1}), ShapeError);
}

TEST_CASE("tensor: a handle on shared elements") {
  Tensor<float> a({2, 2}, {1, 2, 3, 4});
  Tensor<float> b = a;
  CHECK_FALSE(a.unique());
  b.data()[3] = 9;
  CHECK(a.data()[3] == 9);
  CHECK(a.size() == 4);
  CHECK(a.dim(1) == 2);
  const Tensor<float> empty;
  CHECK_FALSE(empty);
  CHECK(empty.size() == 0);
  CHECK(Tensor<float>(Shape{}).size() == 1);
  CHECK(Tensor<float>(Shape{0, 3}));
  CHECK_THROWS_WITH((Tensor<float>({2, 2}, {1, 2})), "tensor: expected 4 values for shape (2, 2), got 2");
}

TEST_CASE("tensor: layouts") {
  CHECK_THROWS_WITH(Tensor<float>(Shape{2, 3}, Layout::channels_last),
                    "tensor: expected rank 4 for channels-last, got (2, 3)");
  const Tensor<float> rows(Shape{2, 3, 4, 5}), last(Shape{2, 3, 4, 5}, Layout::channels_last);
  CHECK(rows.offset(1, 2, 3, 4) == ((1 * 3 + 2) * 4 + 3) * 5 + 4);
  CHECK(last.offset(1, 2, 3, 4) == ((1 * 4 + 3) * 5 + 4) * 3 + 2);
  CHECK_FALSE(last.layout_free());
  CHECK(Tensor<float>(Shape{2, 1, 4, 5}).layout_free());
  CHECK(Tensor<float>(Shape{2, 3, 1, 1}).layout_free());

  CHECK(rows.reshape({6, 20}).data() == rows.data());
  CHECK_THROWS_WITH(rows.reshape({7, 20}), "reshape: expected 120 elements, got (7, 20)");
  CHECK_THROWS_WITH(last.reshape({6, 20}), ContainsSubstring("expected row-major memory, got channels-last"));
  CHECK(Tensor<float>(Shape{2, 3, 1, 1}, Layout::channels_last).reshape({2, 3}).layout() ==
        Layout::row_major);
  CHECK(last.as_matrix(40).shape() == Shape{40, 3});
  CHECK_THROWS_AS(last.as_matrix(7), ShapeError);
  CHECK_THROWS_AS(last.as_matrix(0), ShapeError);
}

TEST_CASE("tensor: shapes and layouts that must agree") {
  const Tensor<float> a(Shape{1, 2, 2, 2}), b(Shape{1, 2, 2, 2}, Layout::channels_last), c(Shape{1, 2, 4});
  CHECK_NOTHROW(require_same_shape("here", a, a));
  CHECK_THROWS_WITH(require_same_shape("here", a, c),
                    "here: expected equal shapes, got (1, 2, 2, 2) and (1, 2, 4)");
  CHECK_THROWS_WITH(require_same_shape("here", a, b), ContainsSubstring("row-major and channels-last"));
}

TEST_CASE("error: one family, messages as written") {
  CHECK_THROWS_AS(fail<GraphError>("a", 1), Error);
  CHECK_THROWS_WITH(fail<DataError>("file ", 3, ": ", 0.5), "file 3: 0.5");
  CHECK_NOTHROW(require<ConfigError>(true, "unused"));
  CHECK_THROWS_AS(require<ConfigError>(false, "used"), ConfigError);
}

TEST_CASE("tensor: the first rows share the memory") {
  Tensor<float> x({3, 2}, {1, 2, 3, 4, 5, 6});
  const Tensor<float> two = x.head(2);
  CHECK(two.shape() == Shape{2, 2});
  CHECK(two.data() == x.data());
  CHECK(x.head(0).size() == 0);
  CHECK_THROWS_WITH(x.head(4), "head: expected a row-major tensor of at least 4 rows, got (3, 2)");
}
