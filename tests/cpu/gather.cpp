// Copies between host and device, and batches gathered where the data set lies.
#include <loru/cpu/cpu.hpp>
#include <loru/data/batch.hpp>
#include <loru/data/synthetic.hpp>
#include <loru/ops/transfer.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;

namespace {

Tensor<std::int32_t> numbers(const Shape& shape, const std::vector<std::int32_t>& values) {
  Tensor<std::int32_t> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

/// Samples of 3x5x4 pixels as bytes or floats.
template <class Raw>
data::Dataset pictures() {
  data::Dataset set{.name = "pictures", .sample = {3, 5, 4}, .classes = 6};
  std::vector<Raw> features(6 * 60);
  rng::Stream stream(3, rng::Purpose::init);
  for (Raw& x : features) x = static_cast<Raw>(stream.below(256));
  set.features = features;
  set.labels() = {3, 1, 4, 1, 5, 0};
  set.normalisation = {1.0 / 255.0, {0.1, 0.4, 0.7}, {0.3, 0.2, 0.9}};
  return set;
}

}  // namespace

TEMPLATE_TEST_CASE("A batch gathered from a tensor is the host's batch to the bit", "", std::uint8_t, float) {
  const auto set = pictures<TestType>();
  Tensor<TestType> images(Shape{6, 3, 5, 4});
  const auto& features = std::get<std::vector<TestType>>(set.features);
  std::copy(features.begin(), features.end(), images.data());
  Tensor<double> normalisation(Shape{3, 3});
  for (std::size_t c = 0; c < 3; ++c) {
    const double row[] = {set.normalisation.unit, set.normalisation.mean[c],
                          1.0 / set.normalisation.deviation[c]};
    std::copy(row, row + 3, normalisation.data() + 3 * c);
  }
  const std::vector<Index> samples{4, 0, 0, 5, 2};
  const auto chosen = numbers({5}, {4, 0, 0, 5, 2});
  for (const Layout layout : {Layout::row_major, Layout::channels_last})
    for (const bool augmented : {false, true}) {
      INFO(to_string(layout) << ", augmented " << augmented);
      const data::Augment augment{.pad = 2, .flip = true};
      rng::Stream stream(8, rng::Purpose::augment), again = stream;
      const auto batch = data::gather<float>(set, samples, layout, augmented ? &augment : nullptr, &stream);
      Tensor<std::int32_t> places;
      if (augmented) places = Tensor<std::int32_t>(Shape{5, 3});
      for (Index i = 0; augmented && i < 5; ++i) {
        const data::Placement place = data::draw(augment, again);
        places.data()[3 * i] = static_cast<std::int32_t>(place.down);
        places.data()[3 * i + 1] = static_cast<std::int32_t>(place.right);
        places.data()[3 * i + 2] = place.flip ? 1 : 0;
      }
      Tensor<float> y(Shape{5, 3, 5, 4}, layout);
      gather_images(y, images, chosen, places, normalisation);
      CHECK(same_bits(y, batch.inputs));
      Tensor<std::int32_t> labels(Shape{5});
      gather_labels(labels, numbers({6}, set.labels()), chosen);
      CHECK(same_bits(labels, batch.labels));
    }
  Tensor<float> small(Shape{5, 3, 5, 3});
  CHECK_THROWS_AS(gather_images(small, images, chosen, {}, normalisation), ShapeError);
}

TEST_CASE("Copies between tensors of one shape and layout keep the buffer") {
  const Tensor<float> x({2, 2}, {1.0f, 2.0f, 3.0f, 4.0f});
  Tensor<float> y(Shape{2, 2});
  const float* before = y.data();
  copy_from_host(y, x);
  CHECK(same_bits(x, y));
  CHECK(y.data() == before);
  Tensor<float> z(Shape{2, 2}), wrong(Shape{4});
  copy_to_host(z, y);
  CHECK(same_bits(x, z));
  CHECK_THROWS_AS(copy_to_host(wrong, y), ShapeError);
  CHECK(to_host(to_device<Cpu>(x)).data() == x.data());
}
