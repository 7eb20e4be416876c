// Losses of the device against the host's.

#include <loru/cuda/ops/softmax.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

}  // namespace

TEST_CASE("cuda softmax: cross-entropy and its gradient") {
  for (const auto& [m, classes] :
       {std::pair<Index, std::int32_t>{1, 1}, {3, 10}, {9, 33}, {40, 100}, {2, 1000}}) {
    const auto z = scale(gaussian<float>({m, classes}), 5.0f);
    const auto dloss = Tensor<float>(Shape{}, {0.7f});
    const auto y = labels(m, classes);
    const auto got = in_all_orders([&] {
      const auto v = cross_entropy(to_device(z), to_device(y));
      return Results{to_host(v.loss), to_host(v.kept),
                     to_host(cross_entropy_backward(to_device(dloss), v.kept, to_device(y)))};
    });
    const auto v = cross_entropy(z, y);
    const auto dz = cross_entropy_backward(dloss, v.kept, y);
    check_close<float>({got[0], got[1]}, {v.loss, v.kept}, 2e-6);
    for (Index i = 0; i < dz.size(); ++i) CHECK(std::abs(got[2].data()[i] - dz.data()[i]) <= 1e-6f);
    CHECK(count_correct(to_device(z), to_device(y)) == count_correct(z, y));
  }
}

TEST_CASE("cuda softmax: of equal largest entries the first counts") {
  const Tensor<float> z(Shape{3, 3}, {1, 5, 5, 5, 1, 5, 2, 2, 2});
  const Tensor<std::int32_t> y(Shape{3}, {1, 2, 0});
  CHECK(count_correct(to_device(z), to_device(y)) == 2);
}

TEST_CASE("cuda softmax: labels that are known to be classes are not looked at, and nothing waits") {
  const auto z = to_device(gaussian<float>({9, 33}));
  const auto y = to_device(labels(9, 33));
  const auto looked = cross_entropy(z, y);
  const auto before = emulator::inventory();
  const auto known = known_cross_entropy(z, y);
  const auto after = emulator::inventory();
  check_exact<float>({to_host(known.loss), to_host(known.kept)},
                     {to_host(looked.loss), to_host(looked.kept)});
  CHECK(after.all_synchronisations == before.all_synchronisations);
  CHECK(after.all_copies == before.all_copies);
  CHECK_THROWS_WITH(known_cross_entropy(z, to_device(labels(2, 4))),
                    "cross_entropy: expected (M, classes) logits and M labels, got (9, 33) and (2)");
}

TEST_CASE("cuda softmax: a label outside the classes is named as on the host") {
  const auto z = to_device(gaussian<float>({3, 4}));
  const Tensor<std::int32_t> high(Shape{3}, {1, 4, -1}), low(Shape{3}, {0, 3, -1});
  CHECK_THROWS_WITH(cross_entropy(z, to_device(high)),
                    "cross_entropy: label 4 of row 1 is outside the 4 classes");
  CHECK_THROWS_WITH(count_correct(z, to_device(low)),
                    "count_correct: label -1 of row 2 is outside the 4 classes");
  CHECK_THROWS_WITH(cross_entropy(z, to_device(labels(2, 4))),
                    "cross_entropy: expected (M, classes) logits and M labels, got (3, 4) and (2)");
}

TEST_CASE("cuda softmax: the mean squared error and its gradient") {
  for (const Shape& shape : {Shape{1}, Shape{7, 3}, Shape{2, 3, 41, 29}}) {
    const auto y = gaussian<float>(shape, 1), target = gaussian<float>(shape, 2);
    const auto dloss = Tensor<float>(Shape{}, {-1.5f});
    const auto got = in_all_orders([&] {
      const auto v = mean_squared_error(to_device(y), to_device(target));
      return Results{to_host(v.loss), to_host(v.kept),
                     to_host(mean_squared_error_backward(to_device(dloss), v.kept))};
    });
    const auto v = mean_squared_error(y, target);
    check_close<float>(got, {v.loss, v.kept, mean_squared_error_backward(dloss, v.kept)}, 1e-5);
  }
  CHECK_THROWS_WITH(mean_squared_error(to_device(gaussian<float>({0})), to_device(gaussian<float>({0}))),
                    "mean_squared_error: expected at least one element");
}

TEST_CASE("cuda softmax: the binary cross-entropy and its gradient") {
  for (const Shape& shape : {Shape{1}, Shape{7, 3}, Shape{129, 41}}) {
    const auto z = scale(gaussian<float>(shape, 1), 4.0f);
    auto target = gaussian<float>(shape, 2);
    for (float& t : target.span()) t = t > 0.0f ? 1.0f : 0.0f;
    const auto dloss = Tensor<float>(Shape{}, {-1.5f});
    const auto got = in_all_orders([&] {
      const auto v = binary_cross_entropy(to_device(z), to_device(target));
      return Results{to_host(v.loss), to_host(v.kept),
                     to_host(binary_cross_entropy_backward(to_device(dloss), v.kept))};
    });
    const auto v = binary_cross_entropy(z, target);
    check_close<float>(got, {v.loss, v.kept, binary_cross_entropy_backward(dloss, v.kept)}, 1e-5);
  }
  CHECK_THROWS_WITH(binary_cross_entropy(to_device(gaussian<float>({0})), to_device(gaussian<float>({0}))),
                    "binary_cross_entropy: expected at least one element");
}
