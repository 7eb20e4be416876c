#include <loru/cpu/conv/way.hpp>

#include "support/catch.hpp"

using namespace loru;
using cpu::ConvWay;
using detail::ConvExtents;

namespace {

struct Layer {
  Index n, cin, cout, side, kernel, stride, padding, dilation = 1, groups = 1;
  ConvExtents extents() const {
    return {{n, cin, side, side}, {cout, cin / groups, kernel, kernel}, {stride, padding, dilation, groups}};
  }
};

ConvWay way(Direction direction, const Layer& layer, bool single = true) {
  return cpu::conv_route(direction, layer.extents(), single).way;
}

}  // namespace

TEST_CASE("way: the layers of residual networks") {
  using enum Direction;
  const Layer body{32, 64, 64, 14, 3, 1, 1}, down{32, 64, 128, 28, 3, 2, 1}, one{32, 64, 128, 14, 1, 1, 0},
      shortcut{32, 64, 128, 28, 1, 2, 0}, short_lines{32, 64, 128, 8, 1, 2, 0}, first{32, 3, 64, 32, 3, 1, 1};
  for (Direction d : {forward, input_gradient, weight_gradient}) {
    CHECK(way(d, body) == ConvWay::winograd);
    CHECK(way(d, down) == ConvWay::winograd);
    CHECK(way(d, one) == ConvWay::product);
    CHECK_FALSE(way(d, body, false) == ConvWay::winograd);  // of floats alone
  }
  CHECK(way(forward, shortcut) == ConvWay::lines);
  CHECK(way(forward, short_lines) == ConvWay::windows);  // 4 pixels a line
  for (const Layer& layer : {shortcut, short_lines}) {
    CHECK(way(weight_gradient, layer) == ConvWay::lines);
    CHECK(way(input_gradient, layer) == ConvWay::windows);
  }
  CHECK(way(forward, first) == ConvWay::lines);  // 3 channels
}

TEST_CASE("way: what Winograd's way and lines leave goes by windows") {
  using enum Direction;
  for (Direction d : {forward, input_gradient, weight_gradient}) {
    CHECK(way(d, {4, 16, 16, 9, 3, 1, 1, 1, 2}) == ConvWay::windows);     // groups
    CHECK(way(d, {4, 16, 16, 9, 3, 1, 2, 2}) == ConvWay::windows);        // dilation
    CHECK_FALSE(way(d, {1, 16, 16, 7, 3, 1, 1}) == ConvWay::winograd);    // 49 pixels
    CHECK_FALSE(way(d, {32, 40, 41, 16, 3, 2, 1}) == ConvWay::winograd);  // no full packets
    CHECK_FALSE(way(d, {32, 7, 16, 16, 3, 1, 1}) == ConvWay::winograd);   // few channels
    CHECK(way(d, {32, 16, 16, 16, 5, 1, 2}) == ConvWay::winograd);
  }
}

TEST_CASE("way: at stride 1 an input gradient goes as the forward convolution with the reversed kernel") {
  for (const Layer& layer :
       {Layer{4, 3, 5, 9, 3, 1, 1}, Layer{4, 16, 16, 9, 3, 1, 2, 2}, Layer{4, 3, 5, 9, 1, 1, 0},
        Layer{4, 3, 5, 9, 7, 1, 3}, Layer{2, 16, 16, 7, 3, 1, 0}}) {
    const ConvExtents e = layer.extents(), back = cpu::reversed(e);
    const cpu::ConvRoute route = cpu::conv_route(Direction::input_gradient, e, true);
    CHECK(route.reversed);
    CHECK(route.way == cpu::conv_route(Direction::forward, back, true).way);
    CHECK((back.cin == e.cout && back.cout == e.cin && back.h == e.ho && back.ho == e.h));
  }
  // 50 output pixels are too few, 98 input pixels are not.
  CHECK(way(Direction::forward, {2, 16, 16, 7, 3, 1, 0}) == ConvWay::windows);
  CHECK(way(Direction::input_gradient, {2, 16, 16, 7, 3, 1, 0}) == ConvWay::winograd);
  for (const Layer& layer :
       {Layer{4, 16, 16, 9, 3, 1, 1, 1, 2}, Layer{4, 16, 16, 9, 1, 1, 1}, Layer{4, 3, 5, 9, 3, 2, 1}})
    CHECK_FALSE(cpu::conv_route(Direction::input_gradient, layer.extents(), true).reversed);
}
