#include <loru/cpu/cpu.hpp>

#include "support/catch.hpp"
#include "support/dual.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::check_dual;
using loru_test::gaussian;
using loru_test::labels;

namespace {

using loru_test::D;

/// The scalar of the inputs.
template <class Inputs>
using ScalarOf = typename Inputs::value_type::value_type;

}  // namespace

TEST_CASE("dual: split and join") {
  const Tensor<D> x = gaussian<D>({2, 3, 2, 2}, 1, Layout::channels_last);
  const Parts<double> parts = split(x);
  CHECK(parts.value.layout() == Layout::channels_last);
  const Tensor<D> y = join(parts.value, parts.tangent);
  CHECK(loru_test::same_bits(x, y));
  CHECK_THROWS_AS(join(parts.value, Tensor<double>(Shape{3})), ShapeError);
}

TEST_CASE("dual: elementwise ops and sums") {
  const Shape s{3, 5};
  check_dual("add", {s, s}, [](auto v) { return add(v[0], v[1]); });
  check_dual("multiply", {s, s}, [](auto v) { return multiply(v[0], v[1]); });
  check_dual("scale", {s}, [](auto v) { return scale(v[0], ScalarOf<decltype(v)>(-1.5)); });
  check_dual("add_scaled", {s, s}, [](auto v) {
    add_scaled(v[0], ScalarOf<decltype(v)>(2), v[1]);
    return v[0];
  });
  check_dual("relu", {s}, [](auto v) { return relu(v[0]); });
  check_dual("relu_backward", {s, s}, [](auto v) { return relu_backward(v[0], v[1]); });
  check_dual("add_relu", {s, s}, [](auto v) { return add_relu(v[0], v[1]); });
  check_dual("gelu", {s}, [](auto v) { return gelu(v[0]); });
  check_dual("gelu_backward", {s, s}, [](auto v) { return gelu_backward(v[0], v[1]); });
  check_dual("dropout", {s}, [](auto v) { return dropout(v[0], 0.4, rng::Stream(3)); });
  check_dual("column_sum", {{70, 3}}, [](auto v) { return column_sum(v[0]); });
  check_dual("sum", {s}, [](auto v) { return sum(v[0]); });
}

TEST_CASE("dual: products") {
  check_dual("matmul", {{3, 5}, {5, 2}}, [](auto v) { return matmul(v[0], v[1], {}); });
  check_dual("matmul, transposed", {{5, 3}, {2, 5}},
             [](auto v) { return matmul(v[0], v[1], {.a = Op::transpose, .b = Op::transpose}); });
  check_dual("matmul_into", {{3, 2}, {3, 5}, {5, 2}}, [](auto v) {
    matmul_into(v[0], 0.5, v[1], v[2], {}, 2.0);
    return v[0];
  });
  for (const bool relu : {false, true}) {
    check_dual("add_bias", {{4, 3}, {3}}, [relu](auto v) {
      add_bias(v[0], v[1], {.relu = relu});
      return v[0];
    });
    check_dual("add_bias of a sum", {{4, 3}, {3}, {4, 3}}, [relu](auto v) {
      add_bias(v[0], v[1], {relu, v[2]});
      return v[0];
    });
  }
  check_dual("add_bias_backward", {{4, 3}, {4, 3}},
             [](auto v) { return add_bias_backward(v[0], v[1]).dbias; });
  check_dual("lowrank_compose", {{4, 2, 3, 3}, {2, 2, 3, 3}, {4, 2}},
             [](auto v) { return lowrank_compose(v[0], v[1], v[2], 0.7); });
  check_dual("lowrank_merge", {{4, 6}, {2, 6}, {4, 2}}, [](auto v) {
    lowrank_merge(v[0], v[1], v[2], 0.7);
    return v[0];
  });
}

TEST_CASE("dual: pooling") {
  const Shape s{2, 3, 5, 5};
  check_dual("max_pool2d", {s}, [](auto v) { return max_pool2d(v[0], {}).output; });
  check_dual("max_pool2d_backward", {s, {2, 3, 2, 2}},
             [s](auto v) { return max_pool2d_backward(v[1], max_pool2d(v[0], {}).winners, s); });
  check_dual("adaptive_avg_pool2d", {s}, [](auto v) { return adaptive_avg_pool2d(v[0], 2, 3); });
  check_dual("adaptive_avg_pool2d_backward", {{2, 3, 2, 3}},
             [s](auto v) { return adaptive_avg_pool2d_backward(v[0], s); });
}

TEST_CASE("dual: norms, differentiated through their moments") {
  const Shape s{3, 4, 2, 3}, c{4};
  const auto moments = [](const auto& x, Index groups) {
    return groups == 0 ? batch_moments(x, 1e-3) : group_moments(x, groups, 1e-3);
  };
  for (const Index groups : {0, 2}) {
    INFO(groups << " groups");
    for (const bool fixed : {false, true}) {
      const auto backward = [=](auto& v) {
        return normalise_backward(v[0], {}, v[1], moments(v[1], groups), v[2], v[2], Gate::open, fixed);
      };
      check_dual("normalise_backward dx", {s, s, c}, [=](auto v) { return backward(v).dx; });
      check_dual("normalise_backward dgamma", {s, s, c}, [=](auto v) { return backward(v).dgamma; });
    }
    for (const bool relu : {false, true})
      for (const bool summed : {false, true}) {
        const auto residual = [summed](const auto& r) {
          return summed ? r : std::remove_cvref_t<decltype(r)>();
        };
        const auto forward = [=](auto& v) {
          return normalise(v[0], moments(v[0], groups), v[1], v[2], {relu, residual(v[3])});
        };
        check_dual("normalise", {s, c, c, s}, [=](auto v) { return forward(v); });
        if (!relu) continue;
        const auto backward = [=](auto& v) {
          return normalise_backward(v[4], residual(forward(v)), v[0], moments(v[0], groups), v[1], v[2],
                                    summed ? Gate::output : Gate::input, false);
        };
        check_dual("normalise_backward behind a ReLU, dx", {s, c, c, s, s},
                   [=](auto v) { return backward(v).dx; });
        check_dual("normalise_backward behind a ReLU, dgamma", {s, c, c, s, s},
                   [=](auto v) { return backward(v).dgamma; });
      }
  }
}

TEST_CASE("dual: losses and updates") {
  const Tensor<std::int32_t> y = labels(4, 3);
  check_dual("cross_entropy", {{4, 3}}, [y](auto v) { return cross_entropy(v[0], y).loss; });
  check_dual("cross_entropy_backward", {{4, 3}, {}},
             [y](auto v) { return cross_entropy_backward(v[1], cross_entropy(v[0], y).kept, y); });
  check_dual("mean_squared_error", {{4, 3}, {4, 3}},
             [](auto v) { return mean_squared_error(v[0], v[1]).loss; });
  check_dual("mean_squared_error_backward", {{4, 3}, {}},
             [](auto v) { return mean_squared_error_backward(v[1], v[0]); });
  check_dual("binary_cross_entropy", {{4, 3}, {4, 3}},
             [](auto v) { return binary_cross_entropy(v[0], v[1]).loss; });
  check_dual("binary_cross_entropy_backward", {{4, 3}, {4, 3}, {}}, [](auto v) {
    return binary_cross_entropy_backward(v[2], binary_cross_entropy(v[0], v[1]).kept);
  });
  for (const bool nesterov : {true, false})
    check_dual("sgd_update", {{5}, {5}, {5}}, [nesterov](auto v) {
      sgd_update(v[0], v[1], v[2], {0.1, 0.9, 0.01, nesterov});
      return v[0];
    });
  check_dual("adam_update", {{5}, {5}, {5}, {5}}, [](auto v) {
    v[3] = multiply(v[3], v[3]);  // a second moment is positive
    adam_update(v[0], v[1], v[2], v[3], {0.1, 0.9, 0.99, 1e-8, 0.1, false, 3});
    return v[0];
  });
}
