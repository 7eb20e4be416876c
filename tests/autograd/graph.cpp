#include <loru/autograd/autograd.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

using V = Variable<double>;

V leaf(double x) { return V(Tensor<double>({1}, {x}), true); }
double gradient(const V& v) { return v.gradient().data()[0]; }

}  // namespace

TEST_CASE("graph: gradients add up") {
  SECTION("a variable used twice") {
    const V x = leaf(3.0);
    add(multiply(x, x), x).backward();
    CHECK(gradient(x) == 7.0);
  }
  SECTION("a diamond") {
    const V x = leaf(2.0), y = multiply(x, x);
    add(multiply(y, y), add(y, y)).backward();  // x⁴ + 2x²
    CHECK(gradient(x) == 4 * 8.0 + 4 * 2.0);
  }
  SECTION("over passes, until cleared") {
    V x = leaf(3.0);
    for (int i = 0; i < 2; ++i) scale(x, 2.0).backward();
    CHECK(gradient(x) == 4.0);
    x.clear_gradient();
    CHECK_FALSE(x.gradient());
  }
  SECTION("never in a tensor that is shared") {
    const V a = leaf(1.0), b = leaf(1.0);
    const V y = add(a, b);
    y.backward();  // both may hold the tensor of y's gradient
    scale(a, 5.0).backward();
    CHECK(gradient(a) == 6.0);
    CHECK(gradient(b) == 1.0);
  }
  SECTION("from a given seed") {
    const V x(gaussian({2, 3}), true);
    const Tensor<double> seed = gaussian({2, 3}, 2);
    scale(x, 2.0).backward(seed);
    CHECK(same_bits(x.gradient(), scale(seed, 2.0)));
    CHECK_THROWS_AS(scale(x, 2.0).backward(gaussian({3, 2})), ShapeError);
  }
}

TEST_CASE("graph: what takes part") {
  const V x = leaf(3.0);
  const V constant(Tensor<double>({1}, {2.0}));
  multiply(x, constant).backward();
  CHECK(gradient(x) == 2.0);
  CHECK_FALSE(constant.gradient());

  const V y = multiply(x, x), z = scale(y, 2.0);
  z.backward();
  CHECK_FALSE(y.gradient());  // only leaves keep theirs

  V frozen = leaf(1.0);
  frozen.set_requires_grad(false);
  CHECK_FALSE(scale(frozen, 2.0).requires_grad());
}

TEST_CASE("graph: NoGrad records nothing, and ends with its scope") {
  const V x = leaf(3.0);
  {
    const NoGrad outer;
    { const NoGrad inner; }
    const V y = multiply(x, x);
    CHECK(y.value().data()[0] == 9.0);
    CHECK_FALSE(y.requires_grad());
    CHECK_THROWS_WITH(y.backward(), "backward: nothing here requires a gradient (recorded under NoGrad?)");
  }
  CHECK(multiply(x, x).requires_grad());
}

TEST_CASE("graph: errors") {
  const V x(gaussian({2, 2}), true);
  SECTION("a second pass over a freed graph") {
    const V loss = sum(relu(x));
    loss.backward();
    CHECK_THROWS_WITH(
        loss.backward(),
        "backward: the graph through sum was freed by an earlier backward pass; run the forward pass again");
    CHECK_THROWS_AS(loss.backward(), GraphError);
  }
  SECTION("a freed part below a new loss; the flags of the search are reset") {
    const V y = relu(x);
    sum(y).backward();
    const V loss = sum(multiply(y, y));
    for (int i = 0; i < 2; ++i)
      CHECK_THROWS_WITH(loss.backward(), loru_test::ContainsSubstring("through relu"));
    CHECK_NOTHROW(sum(x).backward());
  }
  SECTION("a loss that is no scalar") {
    CHECK_THROWS_WITH(relu(x).backward(), "backward: expected a scalar loss, got shape (2, 2)");
  }
  SECTION("an empty variable") { CHECK_THROWS_WITH(V().backward(), "backward: empty variable"); }
  SECTION("nothing requires a gradient") { CHECK_THROWS_AS(sum(V(gaussian({2}))).backward(), GraphError); }
  SECTION("shapes") {
    CHECK_THROWS_AS(add(x, V(gaussian({3}))), ShapeError);
    CHECK_THROWS_AS(matmul(x, V(gaussian({3, 2}))), ShapeError);
    CHECK_THROWS_WITH(V(x).set_value(gaussian({3})), "set_value: expected shape (2, 2), got (3)");
    CHECK_THROWS_WITH(item(x), "item: expected one element, got shape (2, 2)");
    const V wrong("wrong", gaussian({2, 2}), {x},
                  [x](const Tensor<double>&) { x.accumulate(gaussian({4})); });
    CHECK_THROWS_WITH(wrong.backward(gaussian({2, 2})),
                      "backward: gradient of shape (4) for a value of shape (2, 2) (leaf)");
  }
}

TEST_CASE("graph: add_bias works in place only where nobody looks") {
  const Tensor<double> data = gaussian({3, 4}), bias = gaussian({4}, 2);
  const V b(bias, true);
  Tensor<double> expected = clone(data);
  add_bias(expected, bias, {});

  SECTION("a named input keeps its value") {
    const V x(clone(data), true);
    CHECK(same_bits(add_bias(x, b).value(), expected));
    CHECK(same_bits(x.value(), data));
  }
  SECTION("a temporary whose tensor somebody holds keeps it") {
    const Tensor<double> held = clone(data);
    CHECK(same_bits(add_bias(V(held, true), b).value(), expected));
    CHECK(same_bits(held, data));
  }
  SECTION("a temporary whose graph needs its value keeps it") {
    const V x(clone(data), true);
    const V y = add_bias(relu(x), b);
    sum(y).backward();
    for (Index i = 0; i < data.size(); ++i)
      CHECK(x.gradient().data()[i] == (data.data()[i] > 0.0 ? 1.0 : 0.0));
  }
  SECTION("a temporary of its own is changed in place") {
    const V x(gaussian({3, 5}), true), w(gaussian({4, 5}), true);
    V y = linear(x, w);
    const double* memory = y.value().data();
    CHECK(add_bias(std::move(y), b).value().data() == memory);
  }
}

TEST_CASE("graph: deep graphs do not exhaust the stack") {
  const V x = leaf(1.0);
  V y = x;
  for (int i = 0; i < 50000; ++i) y = add(y, x);
  y.backward();
  CHECK(gradient(x) == 50001.0);
}

TEST_CASE("graph: layouts of gradients follow the values") {
  const V x(gaussian({2, 3, 4, 4}, 1, Layout::channels_last), true);
  sum(flatten(x)).backward();
  CHECK(x.gradient().layout() == Layout::channels_last);
}

TEST_CASE("graph: two threads share frozen tensors") {
  const V w(gaussian({8, 8}));
  std::vector<Tensor<double>> gradients(2);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const V x(gaussian({4, 8}), true);
        sum(relu(linear(x, w))).backward();
        gradients[t] = x.gradient();
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(same_bits(gradients[0], gradients[1]));
}

TEST_CASE("graph: a deep one that is dropped needs no stack for its depth") {
  const auto grow = [](V y) {  // 150,000 nodes, a third of them twice the parent of their child
    const V one = leaf(1.0);
    for (int i = 0; i < 50'000; ++i) y = add(scale(add(y, y), 0.5), one);
    return y;
  };
  const V x = leaf(0.0);
  SECTION("without a backward pass") {
    grow(grow(x));
    CHECK_FALSE(x.gradient());
  }
  SECTION("after one through its lower half") {
    V half = grow(x);
    V top = grow(half);
    half.backward();
    CHECK(gradient(x) == 1.0);
    half = {};
    top = {};
  }
  SECTION("while others hold a part of it") {
    V half = grow(x);
    grow(half);
    half.backward();
    CHECK(gradient(x) == 1.0);
  }
}
