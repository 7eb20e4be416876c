#include <loru/data/batch.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace loru;

namespace {

/// Five samples (2, 3, 4) of bytes or floats, with different statistics per channel.
data::Dataset five(bool bytes) {
  data::Dataset set{.name = "five",
                    .sample = {2, 3, 4},
                    .classes = 3,
                    .targets = data::Labels{0, 1, 2, 1, 0},
                    .normalisation = {1.0 / 255, {0.25, 0.5}, {0.5, 0.125}}};
  std::vector<std::uint8_t> raw(5 * 24);
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::uint8_t>(37 * i + 11);
  if (bytes)
    set.features = raw;
  else
    set.features = std::vector<float>(raw.begin(), raw.end());
  set.check();
  return set;
}

double raw_at(const data::Dataset& set, Index i, Index c, Index h, Index w) {
  const auto at = static_cast<std::size_t>(((i * 2 + c) * 3 + h) * 4 + w);
  return std::visit([&](const auto& values) { return static_cast<double>(values[at]); }, set.features);
}

/// The definition, read off the documentation: normalise, pad with zeros, crop, mirror.
template <class T>
void check_against_reference(const data::Dataset& set, const std::vector<Index>& samples,
                             const std::vector<data::Placement>& places, const data::Batch<T>& batch) {
  REQUIRE(batch.inputs.shape() == Shape{static_cast<Index>(samples.size()), 2, 3, 4});
  REQUIRE(batch.size() == static_cast<Index>(samples.size()));
  Index wrong = 0;
  for (Index n = 0; n < batch.size(); ++n) {
    const auto& place = places[static_cast<std::size_t>(n)];
    const Index i = samples[static_cast<std::size_t>(n)];
    CHECK(batch.labels.data()[n] == set.label(i));
    for (Index c = 0; c < 2; ++c)
      for (Index h = 0; h < 3; ++h)
        for (Index w = 0; w < 4; ++w) {
          const Index y = h + place.down, x = (place.flip ? 3 - w : w) + place.right;
          const auto channel = static_cast<std::size_t>(c);
          const bool inside = y >= 0 && y < 3 && x >= 0 && x < 4;
          const double expected = inside ? (raw_at(set, i, c, y, x) / 255 - set.normalisation.mean[channel]) /
                                               set.normalisation.deviation[channel]
                                         : 0.0;
          const auto got = value_of(batch.inputs.data()[batch.inputs.offset(n, c, h, w)]);
          if (std::abs(static_cast<double>(got) - expected) > 1e-5) ++wrong;
        }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("gather: equals the definition in both layouts", "", float, double, Dual<double>) {
  for (const bool bytes : {true, false}) {
    const data::Dataset set = five(bytes);
    for (const Layout layout : {Layout::row_major, Layout::channels_last}) {
      const std::vector<Index> samples{4, 0, 2, 2};
      const auto batch = data::gather<TestType>(set, samples, layout);
      CHECK(batch.inputs.layout() == layout);
      check_against_reference(set, samples, std::vector<data::Placement>(4), batch);
    }
  }
}

TEST_CASE("gather: augmented samples equal the definition, whatever the layout") {
  const data::Dataset set = five(true);
  const std::vector<Index> samples{0, 1, 2, 3, 4, 0, 1, 2, 3, 4};
  const data::Augment augment{.pad = 2, .flip = true};
  rng::Stream expected{7, rng::Purpose::augment};
  std::vector<data::Placement> places;
  for (std::size_t n = 0; n < samples.size(); ++n) places.push_back(data::draw(augment, expected));
  for (const Layout layout : {Layout::row_major, Layout::channels_last}) {
    rng::Stream stream{7, rng::Purpose::augment};
    check_against_reference(set, samples, places,
                            data::gather<float>(set, samples, layout, &augment, &stream));
    CHECK(stream.bits() == rng::Stream{expected}.bits());
  }
}

TEST_CASE("gather: an empty batch, and misuse") {
  const data::Dataset set = five(true);
  CHECK(data::gather<float>(set, {}).inputs.shape() == Shape{0, 2, 3, 4});
  CHECK_THROWS_AS(data::gather<float>(set, std::vector<Index>{0, 5}), ShapeError);
  CHECK_THROWS_WITH(data::gather<float>(set, std::vector<Index>{-1}),
                    "gather: five: expected a sample in [0, 5), got -1");
  const data::Augment augment{.flip = true};
  CHECK_THROWS_WITH(data::gather<float>(set, std::vector<Index>{0}, Layout::row_major, &augment),
                    "gather: expected a random stream for the augmentation, got none");
}

TEST_CASE("augment: draws cover their range evenly") {
  rng::Stream stream{3};
  std::vector<int> down(5), right(5);
  int flips = 0;
  for (int i = 0; i < 5000; ++i) {
    const data::Placement place = data::draw({.pad = 2, .flip = true}, stream);
    ++down.at(static_cast<std::size_t>(place.down + 2));
    ++right.at(static_cast<std::size_t>(place.right + 2));
    flips += place.flip ? 1 : 0;
  }
  for (const auto& counts : {down, right})
    for (int count : counts) CHECK(std::abs(count - 1000) < 150);
  CHECK(std::abs(flips - 2500) < 180);
  CHECK(data::draw({}, stream) == data::Placement{});
}

TEST_CASE("augment: names of a configuration") {
  const std::vector<std::string> both{"crop", "flip"};
  CHECK(data::augment_from(both).pad == 4);
  CHECK(data::augment_from(both).flip);
  CHECK(data::augment_from(std::vector<std::string>{}).pad == 0);
  CHECK_THROWS_AS(data::augment_from(std::vector<std::string>{"rotate"}), ConfigError);
  CHECK_THROWS_WITH(data::augment_from(std::vector<std::string>{"rotate"}),
                    "augment: expected \"crop\" or \"flip\", got \"rotate\"");
}

TEST_CASE("gather: vectors with numbers or flags") {
  data::Dataset set{.name = "rows",
                    .sample = {2},
                    .features = std::vector<float>{1, 2, 3, 4, 5, 6},
                    .targets = data::Numbers{1, {10, 20, 30}},
                    .normalisation = {1.0, {1.0, 0.0}, {2.0, 1.0}}};
  const auto batch = data::gather<double>(set, std::vector<Index>{2, 0});
  CHECK(batch.size() == 2);
  CHECK(batch.inputs.shape() == Shape{2, 2});
  CHECK(std::vector<double>(batch.inputs.span().begin(), batch.inputs.span().end()) ==
        std::vector<double>{2, 6, 0, 2});
  CHECK_FALSE(batch.labels);
  CHECK(batch.values.shape() == Shape{2, 1});
  CHECK(batch.values.data()[0] == 30);
  set.normalisation = {};  // as they are
  set.targets = data::Flags{2, {0, 1, 1, 1, 0, 0}};
  const auto flags = data::gather<float>(set, std::vector<Index>{1});
  CHECK(flags.inputs.data()[1] == 4.0f);
  CHECK(flags.values.shape() == Shape{1, 2});
  CHECK(flags.values.data()[0] == 1.0f);
  const data::Augment augment{.flip = true};
  rng::Stream stream(1);
  CHECK_THROWS_WITH(data::gather<float>(set, std::vector<Index>{0}, Layout::row_major, &augment, &stream),
                    "gather: rows: expected images for the augmentation, got samples of shape (2)");
}

TEST_CASE("gather: sequences are packed") {
  const data::Dataset text{.name = "text",
                           .classes = 9,
                           .features = std::vector<std::int32_t>{1, 2, 3, 4, 5, 6},
                           .targets = data::TokenLabels{{2, 3, 4, 5, 6, 7}},
                           .starts = {0, 1, 4, 6}};
  const auto batch = data::gather<float>(text, std::vector<Index>{1, 0});
  CHECK(batch.size() == 2);
  CHECK(batch.starts == std::vector<Index>{0, 3, 4});
  CHECK(std::vector<std::int32_t>(batch.tokens.span().begin(), batch.tokens.span().end()) ==
        std::vector<std::int32_t>{2, 3, 4, 1});
  CHECK(std::vector<std::int32_t>(batch.labels.span().begin(), batch.labels.span().end()) ==
        std::vector<std::int32_t>{3, 4, 5, 2});
  CHECK_FALSE(batch.inputs);
}
