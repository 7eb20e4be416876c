// Elementwise ops of the device.

#include <loru/cuda/ops/elementwise.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

/// None, one, more elements than one block, than two.
const std::vector<Shape> shapes{{0}, {1}, {3, 5}, {2, 3, 7, 5}, {3, 1025}};

}  // namespace

TEST_CASE("cuda ops: y + c x is rounded once") {
  for (const Shape& shape : shapes) {
    const auto x = gaussian<float>(shape, 1), y = gaussian<float>(shape, 2);
    auto expected = clone(y);
    for (Index i = 0; i < y.size(); ++i) expected.data()[i] = std::fma(0.3f, x.data()[i], y.data()[i]);
    const auto got = in_all_orders([&] {
      auto z = to_device(y);
      add_scaled(z, 0.3f, to_device(x));
      return Results{to_host(z)};
    });
    check_exact(got, {expected});
  }
}

TEST_CASE("cuda ops: sums, products and rectifiers equal the host's") {
  for (const Shape& shape : shapes)
    for (const Layout layout : {Layout::row_major, Layout::channels_last}) {
      if (layout == Layout::channels_last && shape.rank() != 4) continue;
      const auto a = gaussian<float>(shape, 1, layout), b = gaussian<float>(shape, 2, layout);
      const auto ops = [](const auto& x, const auto& y) {
        auto filled = clone(x), copied = clone(x);
        fill(filled, 2.5f);
        copy_into(copied, y);
        return std::vector{
            add(x, y),      multiply(x, y),      scale(x, -1.5f),         filled, copied, relu(x),
            add_relu(x, y), relu_backward(x, y), to_layout(x, x.layout())};
      };
      const auto got = in_all_orders([&] {
        Results results;
        for (const auto& y : ops(to_device(a), to_device(b))) results.push_back(to_host(y));
        return results;
      });
      check_exact(got, ops(a, b));
    }
}

TEST_CASE("cuda ops: gelu is the host's but for rounding") {
  for (const Shape& shape : shapes) {
    const auto x = gaussian<float>(shape, 1), dy = gaussian<float>(shape, 2);
    const auto got = in_all_orders([&] {
      return Results{to_host(gelu(to_device(x))), to_host(gelu_backward(to_device(x), to_device(dy)))};
    });
    check_close(got, {gelu(x), gelu_backward(x, dy)}, 1e-6);
  }
}

TEST_CASE("cuda ops: dropout drops what the host drops, to the bit") {
  for (const Shape& shape : shapes)
    for (const double p : {0.0, 0.1, 0.9}) {
      const auto x = gaussian<float>(shape);
      const rng::Stream stream = rng::Stream(7, rng::Purpose::dropout, 3, 2).fork(5);
      check_exact(in_all_orders([&] { return Results{to_host(dropout(to_device(x), p, stream))}; }),
                  {dropout(x, p, stream)});
    }
  CHECK_THROWS_WITH(dropout(to_device(gaussian<float>({3})), 1.0, rng::Stream(1)),
                    "dropout: expected 0 <= p < 1, got 1");
}

TEST_CASE("cuda ops: layouts change as on the host") {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 1, 4, 4}, Shape{3, 17, 1, 1}, Shape{2, 33, 6, 5}})
    for (const Layout from : {Layout::row_major, Layout::channels_last})
      for (const Layout to : {Layout::row_major, Layout::channels_last}) {
        const auto x = gaussian<float>(shape, 1, from);
        const auto got = in_all_orders([&] { return Results{to_host(to_layout(to_device(x), to))}; });
        check_exact(got, {x});
        CHECK(got[0].layout() == to);
      }
}

TEST_CASE("cuda ops: a gradient that nothing shares is overwritten, one that is shared is kept") {
  const auto y = gaussian<float>({2, 9}), dy = gaussian<float>({2, 9}, 2);
  const auto kept = to_device(dy);
  const auto dx = relu_backward(to_device(y), kept);
  check_exact<float>({to_host(kept)}, {dy});
  CHECK(dx.data() != kept.data());
  auto given = to_device(dy);
  const float* buffer = given.data();
  CHECK(
      std::as_const(static_cast<const Array<float>&>(relu_backward(to_device(y), std::move(given)))).data() ==
      buffer);
}

TEST_CASE("cuda ops: shapes and layouts that differ are refused in the host's words") {
  const auto a = to_device(gaussian<float>({2, 3})), b = to_device(gaussian<float>({3, 2}));
  CHECK_THROWS_WITH(add(a, b), "add: expected equal shapes, got (2, 3) and (3, 2)");
  CHECK_THROWS_WITH(relu_backward(a, b), "relu_backward: expected equal shapes, got (3, 2) and (2, 3)");
  auto y = to_device(gaussian<float>({2, 3, 4, 5}));
  CHECK_THROWS_WITH(copy_into(y, to_layout(y, Layout::channels_last)),
                    "copy_into: expected equal layouts, got row-major and channels-last for (2, 3, 4, 5)");
}
