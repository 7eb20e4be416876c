// Gradients of functions of sequences.
#include <loru/autograd/autograd.hpp>

#include "support/catch.hpp"
#include "support/gradients.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::check_gradients;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

using loru_test::Inputs, loru_test::V;

Tensor<std::int32_t> numbers(std::initializer_list<std::int32_t> values) {
  return Tensor<std::int32_t>({static_cast<Index>(values.size())}, values);
}

}  // namespace

TEST_CASE("gradients: embedding, tanh, swiglu") {
  const auto rows = numbers({2, 0, 2, 3});
  check_gradients({gaussian({4, 3})}, [&](Inputs& v) { return embedding(v[0], rows); });
  check_gradients({gaussian({4, 3})}, [](Inputs& v) { return tanh(v[0]); });
  check_gradients({gaussian({4, 3}, 1), gaussian({4, 3}, 2)}, [](Inputs& v) { return swiglu(v[0], v[1]); });
}

TEST_CASE("gradients: norms of rows") {
  const Tensor<double> x = gaussian({3, 5}, 1), r = gaussian({3, 5}, 2), g = gaussian({5}, 3),
                       b = gaussian({5}, 4);
  check_gradients({x, g, b}, [](Inputs& v) { return layer_norm(v[0], {}, v[1], v[2], 1e-3).y; });
  check_gradients({x, r, g, b}, [](Inputs& v) { return layer_norm(v[0], v[1], v[2], v[3], 1e-3).y; });
  check_gradients({x, g}, [](Inputs& v) { return rms_norm(v[0], {}, v[1], 1e-3).y; });
  // the sum is used twice, before the norm and after
  check_gradients({x, r, g, b}, [](Inputs& v) {
    const auto n = layer_norm(v[0], v[1], v[2], v[3], 1e-3);
    return add(gelu(n.sum), multiply(n.y, n.sum));
  });
  check_gradients({x, r, g}, [](Inputs& v) {
    const auto first = rms_norm(v[0], v[1], v[2], 1e-3);
    const auto second = rms_norm(gelu(first.y), first.sum, v[2], 1e-3);
    return add(second.sum, second.y);
  });
}

TEST_CASE("gradients: rotary positions") {
  const Tensor<double> table = gaussian({4, 4}, 5);
  const Sequences s{{0, 1, 4}, 1};
  check_gradients({gaussian({4, 8})}, [&](Inputs& v) { return rotary(v[0], table, s); });
  check_gradients({gaussian({4, 8})},
                  [&](Inputs& v) { return rotary(scale(v[0], 2.0), table, s); });  // in place
}

TEST_CASE("gradients: attention") {
  const bool causal = GENERATE(false, true);
  const Sequences s{{0, 1, 4, 9}}, keys{{0, 2, 5, 11}};
  const AttentionOptions o{4, 2, causal, 0.7};
  check_gradients({gaussian({9, 12}, 1), gaussian({9, 6}, 2), gaussian({9, 6}, 3)},
                  [&](Inputs& v) { return attention(v[0], v[1], v[2], s, s, o); });
  check_gradients({gaussian({9, 12}, 1), gaussian({11, 6}, 2), gaussian({11, 6}, 3)},
                  [&](Inputs& v) { return attention(v[0], v[1], v[2], s, keys, o); });
  const V k(gaussian({9, 6}, 2)), v(gaussian({9, 6}, 3));  // without gradients
  check_gradients({gaussian({9, 12}, 1)}, [&](Inputs& q) { return attention(q[0], k, v, s, s, o); });
}

TEST_CASE("gradients: token loss") {
  const auto targets = numbers({2, no_target, 6, 0});
  const V pick(Tensor<double>({4, 2}, {1.0, 0.0, 2.0, 0.0, -1.0, 0.0, 0.5, 0.0}));
  check_gradients({gaussian({4, 3}, 1), gaussian({7, 3}, 2)},
                  [&](Inputs& v) { return multiply(token_loss(v[0], v[1], targets), pick); });
  const V head(gaussian({7, 3}, 2)), h(gaussian({4, 3}, 1));
  check_gradients({gaussian({4, 3}, 1)},
                  [&](Inputs& v) { return multiply(token_loss(v[0], head, targets), pick); });
  check_gradients({gaussian({7, 3}, 1)},
                  [&](Inputs& v) { return multiply(token_loss(h, v[0], targets), pick); });
}

TEST_CASE("hvp: functions of sequences") {
  const std::vector<Tensor<double>> point{gaussian({9, 12}, 1), gaussian({9, 6}, 2), gaussian({9, 6}, 3),
                                          gaussian({12}, 4), gaussian({5, 12}, 5)};
  std::vector<Tensor<double>> direction;
  for (std::size_t i = 0; i < point.size(); ++i) direction.push_back(gaussian(point[i].shape(), 10 + i));
  const Sequences s{{0, 1, 4, 9}};
  const auto targets = numbers({0, 1, 2, no_target, 4, 3, 2, 1, 0});
  const auto f = [&](auto p) {
    using T = typename std::remove_cvref_t<decltype(p[0].value())>::value_type;
    const auto y = attention(p[0], p[1], p[2], s, s, {4, 2, true, 0.7});
    const auto n = rms_norm(y, p[0], p[3], 1e-3);
    Tensor<T> pick(Shape{9, 2});
    for (Index i = 0; i < 18; ++i) pick.data()[i] = i % 2 == 0 ? T(1) : T(0);
    const auto loss = token_loss(add(n.sum, swiglu(n.y, n.sum)), p[4], targets);
    return sum(multiply(loss, Variable<T>(pick)));
  };
  const auto gradient = [&](double h) {
    std::vector<Variable<double>> v;
    for (std::size_t i = 0; i < point.size(); ++i) {
      Tensor<double> x = clone(point[i]);
      add_scaled(x, h, direction[i]);
      v.emplace_back(x, true);
    }
    f(std::span<Variable<double>>(v)).backward();
    return v;
  };
  const auto got = hvp<double>(f, point, direction);
  const auto at = gradient(0.0), above = gradient(1e-5), below = gradient(-1e-5);
  for (std::size_t i = 0; i < point.size(); ++i) {
    CHECK(same_bits(got.gradient[i], at[i].gradient()));
    const auto slope = scale(add(above[i].gradient(), scale(below[i].gradient(), -1.0)), 0.5e5);
    CHECK(loru_test::difference(got.product[i], slope) < 1e-7);
  }
}
