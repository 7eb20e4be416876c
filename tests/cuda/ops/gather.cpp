// Batches gathered on the device, and copies of whole numbers, to the bit.

#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/ops/gather.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

template <class Raw>
Tensor<Raw> pictures(const Shape& shape) {
  std::mt19937 random(3);
  Tensor<Raw> t(shape);
  for (Raw& x : t.span()) x = static_cast<Raw>(random() % 256);
  return t;
}

Tensor<std::int32_t> numbers(const Shape& shape, const std::vector<std::int32_t>& values) {
  Tensor<std::int32_t> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

}  // namespace

TEMPLATE_TEST_CASE("cuda ops: batches are gathered as on the host, to the bit", "", std::uint8_t, float) {
  const auto images = pictures<TestType>({5, 3, 9, 8});
  const auto samples = numbers({4}, {4, 0, 2, 2});
  const auto places = numbers({4, 3}, {0, 0, 0, 2, -1, 1, -9, 3, 0, 1, 8, 1});
  Tensor<double> normalisation(Shape{3, 3}, {1 / 255.0, 0.49, 4.1, 1 / 255.0, 0.48, 3.9, 0.01, 0.0, 1.0});
  for (const Layout layout : {Layout::row_major, Layout::channels_last})
    for (const auto& placed : {Tensor<std::int32_t>(), places}) {
      const auto got = in_all_orders([&] {
        Array<float> y(Shape{4, 3, 9, 8}, layout);
        gather_images(y, to_device(images), to_device(samples), to_device(placed), to_device(normalisation));
        return std::vector{to_host(y)};
      });
      Tensor<float> expected(Shape{4, 3, 9, 8}, layout);
      gather_images(expected, images, samples, placed, normalisation);
      check_exact(got, {expected});
    }
}

TEMPLATE_TEST_CASE("cuda ops: a batch of rows that were uploaded ahead is the host's, to the bit", "",
                   std::uint8_t, float) {
  const auto images = pictures<TestType>({5, 3, 9, 8});
  const auto classes = numbers({5}, {3, 1, 4, 1, 5});
  const auto samples = numbers({3}, {0, 2, 2}), places = numbers({3, 3}, {2, -1, 1, -9, 3, 0, 1, 8, 1});
  const auto plain = numbers({5}, {4, 0, 2, 2, 1});
  const auto placed = numbers({5, 4}, {4, 0, 0, 0, 0, 2, -1, 1, 2, -9, 3, 0, 2, 1, 8, 1, 1, 0, 0, 0});
  Tensor<double> normalisation(Shape{3, 3}, {1 / 255.0, 0.49, 4.1, 1 / 255.0, 0.48, 3.9, 0.01, 0.0, 1.0});
  for (const Layout layout : {Layout::row_major, Layout::channels_last})
    for (const bool augmented : {false, true}) {
      const auto got = in_all_orders([&] {
        Array<float> y(Shape{3, 3, 9, 8}, layout);
        cuda::Labels y_labels(Shape{3});
        gather_batch(y, y_labels, to_device(images), to_device(classes),
                     to_device(augmented ? placed : plain), to_device(numbers({2}, {1, 7})),
                     to_device(normalisation));
        CHECK(same_bits(to_host(y_labels), numbers({3}, {3, 4, 4})));
        return std::vector{to_host(y)};
      });
      Tensor<float> expected(Shape{3, 3, 9, 8}, layout);
      gather_images(expected, images, samples, augmented ? places : Tensor<std::int32_t>(), normalisation);
      check_exact(got, {expected});
    }
  Array<float> y(Shape{3, 3, 9, 8});
  cuda::Labels y_labels(Shape{3});
  const auto two = to_device(numbers({2}, {0, 0}));
  CHECK_THROWS_WITH(
      gather_batch(y, y_labels, to_device(images), to_device(classes), two, two, to_device(normalisation)),
      "gather_batch: expected a batch of images of shape (5, 3, 9, 8) with labels, got (3, 3, 9, 8) of rows "
      "(2)");
}

TEST_CASE("cuda ops: losses are put one after the other, and the position moves on") {
  Array<float> y = to_device(Tensor<float>(Shape{3}, {0, 0, 0}));
  auto position = to_device(numbers({2}, {4, 1}));
  for (const float loss : {5.0F, 7.0F}) put_loss(y, position, 8, to_device(Tensor<float>(Shape{}, {loss})));
  check_exact<float>({to_host(y)}, {Tensor<float>(Shape{3}, {0, 5, 7})});
  check_exact<std::int32_t>({to_host(position)}, {numbers({2}, {20, 3})});
  CHECK_THROWS_WITH(put_loss(y, position, 8, y),
                    "put_loss: expected one number and a position of two, got (3) and (2)");
}

TEST_CASE("cuda ops: labels are gathered, and whole numbers come back as they went") {
  const auto labels = numbers({5}, {3, 1, 4, 1, 5}), samples = numbers({3}, {4, 0, 4});
  cuda::Labels y(Shape{3});
  gather_labels(y, to_device(labels), to_device(samples));
  check_exact<std::int32_t>({to_host(y)}, {numbers({3}, {5, 3, 5})});
  const auto bytes = pictures<std::uint8_t>({2, 3, 4, 5});
  check_exact<std::uint8_t>({to_host(to_device(bytes))}, {bytes});
  cuda::Labels wrong(Shape{2});
  CHECK_THROWS_WITH(gather_labels(wrong, to_device(labels), to_device(samples)),
                    "gather_labels: expected equal shapes, got (2) and (3)");
}

TEST_CASE("cuda ops: copies to and from the host want one shape and layout") {
  Array<float> y(Shape{2, 3, 4, 5});
  CHECK_THROWS_WITH(copy_from_host(y, gaussian<float>({2, 3})),
                    "copy_from_host: expected equal shapes, got (2, 3, 4, 5) and (2, 3)");
  Tensor<float> host(Shape{2, 3, 4, 5}, Layout::channels_last);
  CHECK_THROWS_WITH(copy_to_host(host, y),
                    "copy_to_host: expected equal layouts, got channels-last and row-major for (2, 3, 4, 5)");
}
