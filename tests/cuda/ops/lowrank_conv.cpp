// Convolutions with factors as one op: the device's against the host's.

#include <loru/cuda/cuda.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

struct Geometry {
  Shape x, w;
  Index r;
  ConvOptions o;
};

/// Channels in and not in multiples of 16 bytes, few and many of them, ranks up to and beyond a tile, kernels
/// of one place with stride and without, and extents of zero.
const std::vector<Geometry> geometries{
    {{2, 3, 5, 7}, {5, 3, 3, 3}, 2, {.padding = 1}},
    {{2, 8, 9, 9}, {68, 8, 3, 3}, 8, {.stride = 2, .padding = 1}},
    {{1, 72, 6, 5}, {130, 72, 3, 3}, 4, {.padding = 2, .dilation = 2}},
    {{2, 4, 6, 6}, {8, 4, 1, 1}, 4, {}},
    {{2, 4, 6, 6}, {8, 4, 1, 1}, 3, {.stride = 2}},
    {{1, 8, 7, 7}, {12, 8, 5, 3}, 70, {.padding = 2}},
    {{1, 3, 4, 4}, {5, 3, 3, 3}, 0, {}},
    {{0, 3, 4, 4}, {5, 3, 3, 3}, 2, {}},
};

/// All gradients, and each alone.
constexpr std::array wishes{LowrankWanted{}, LowrankWanted{true, false, false},
                            LowrankWanted{false, true, false}, LowrankWanted{false, false, true}};

/// low and y, then dx, dA and dB; for small ranks for each wish.
template <class X>
std::vector<X> passes(const Geometry& g, const X& x, const X& w, const X& a, const X& b, const X& dy,
                      const X& low) {
  const auto f = lowrank_conv2d_forward(x, w, a, b, 0.5, g.o);
  std::vector<X> results{f.low, f.y};
  for (std::size_t i = 0; i < (g.r < 4 ? wishes.size() : 1); ++i) {
    const auto d = lowrank_conv2d_backward(dy, x, w, a, b, low, 0.5, g.o, wishes[i]);
    results.insert(results.end(), {d.dx, d.da, d.db});
  }
  return results;
}

template <class T, class Draw>
void check(const Geometry& g, double bound, const Draw& draw) {
  INFO("x " << g.x << ", w " << g.w << ", r " << g.r << ", stride " << g.o.stride);
  const Shape y = conv_shape(g.x, g.w, g.o);
  const auto x = draw(g.x, 1), w = draw(g.w, 2), a = draw(Shape{g.r, g.w[1], g.w[2], g.w[3]}, 3),
             b = draw(Shape{g.w[0], g.r, 1, 1}, 4), dy = draw(y, 5),
             low = draw(Shape{y[0] * y[2] * y[3], g.r}, 6);
  const auto got = in_all_orders([&] {
    std::vector<Tensor<T>> results;
    for (const auto& t :
         passes(g, to_device(x), to_device(w), to_device(a), to_device(b), to_device(dy), to_device(low)))
      results.push_back(to_host(t));
    return results;
  });
  check_close<T>(got, passes(g, x, w, a, b, dy, low), bound);
}

}  // namespace

TEST_CASE("cuda lowrank conv: features and gradients, in every precision, with and without each gradient") {
  const OnDevice device(every_block_memory());
  for (const auto precision : {cuda::Precision::full, cuda::Precision::tf32}) {
    cuda::set_precision(precision);
    for (const Geometry& g : geometries)  // the host may transform tiles (Winograd)
      check<float>(g, 1e-6, [](const Shape& s, unsigned seed) { return integers(s, seed); });
  }
  cuda::set_precision(cuda::Precision::full);
}

TEST_CASE("cuda lowrank conv: channels-last and random inputs") {
  const OnDevice device(every_block_memory());
  for (const Geometry& g : geometries)
    check<float>(g, 1e-5, [](const Shape& s, unsigned seed) {
      return gaussian<float>(s, seed, s.rank() == 4 ? Layout::channels_last : Layout::row_major);
    });
}

TEST_CASE("cuda lowrank conv: in double") {
  for (const Geometry& g : geometries)
    check<double>(g, 1e-13, [](const Shape& s, unsigned seed) { return gaussian<double>(s, seed); });
}

TEST_CASE("cuda lowrank conv: what does not fit is refused in the host's words") {
  const auto x = to_device(integers({2, 3, 5, 5})), w = to_device(integers({4, 3, 3, 3})),
             a = to_device(integers({2, 3, 3, 3})), b = to_device(integers({4, 2}));
  CHECK_THROWS_WITH(lowrank_conv2d_forward(x, w, b, b, 1.0, {}),
                    "lowrank_conv2d_forward: factors A (4, 2) and B (4, 2) do not fit weight (4, 3, 3, 3)");
  CHECK_THROWS_WITH(lowrank_conv2d_forward(x, w, a, b, 1.0, {.groups = 3}),
                    "lowrank_conv2d_forward: expected one group, got 3");
  CHECK_THROWS_WITH(lowrank_conv2d_backward(x, x, w, a, b, b, 1.0, {}, {}),
                    "lowrank_conv2d_backward: expected dy of shape (2, 4, 3, 3), got (2, 3, 5, 5)");
}
