// Convolutions of the device against the host's: whole numbers to the bit, gradients included.

#include <loru/cuda/ops/conv.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

struct Geometry {
  Shape x, w;
  ConvOptions o;
};

/// One and several tiles of pixels, channels and window; channels in and not in multiples of 16 bytes;
/// windows that reach beyond the image and pixels that no window reaches; groups, one of them a channel each.
const std::vector<Geometry> geometries{
    {{2, 3, 5, 7}, {5, 3, 3, 3}, {}},
    {{2, 4, 6, 5}, {8, 4, 3, 3}, {.padding = 1}},
    {{1, 8, 9, 9}, {68, 8, 3, 3}, {.stride = 2, .padding = 1}},
    {{3, 1, 8, 8}, {6, 1, 5, 5}, {.padding = 2}},
    {{1, 5, 11, 9}, {3, 5, 3, 2}, {.stride = 3, .padding = 2, .dilation = 2}},
    {{2, 8, 7, 7}, {8, 4, 3, 3}, {.padding = 1, .groups = 2}},
    {{1, 6, 6, 6}, {6, 1, 3, 3}, {.padding = 1, .groups = 6}},
    {{2, 4, 6, 6}, {4, 4, 1, 1}, {.stride = 2}},
    {{2, 7, 6, 5}, {9, 7, 1, 1}, {}},
    {{1, 16, 1, 1}, {16, 16, 3, 3}, {.padding = 1}},
    {{5, 4, 12, 11}, {4, 4, 2, 2}, {}},
};

/// y, dx and dw.
template <class X>
std::vector<X> passes(const X& x, const X& w, const X& dy, const Geometry& g) {
  return {conv2d(x, w, g.o), conv2d_backward_input(dy, w, g.x, g.o), conv2d_backward_weight(dy, x, g.w, g.o)};
}

std::vector<Tensor<float>> on_device(const Tensor<float>& x, const Tensor<float>& w, const Tensor<float>& dy,
                                     const Geometry& g) {
  return in_all_orders([&] {
    std::vector<Tensor<float>> results;
    for (const auto& y : passes(to_device(x), to_device(w), to_device(dy), g)) results.push_back(to_host(y));
    return results;
  });
}

/// The same sums in the order of their definition, in double.
Tensor<float> defined(const Tensor<float>& x, const Tensor<float>& w, const ConvOptions& o) {
  Tensor<float> y(conv_shape(x.shape(), w.shape(), o));
  const Index per_group = w.dim(0) / o.groups;
  for (Index n = 0; n < y.dim(0); ++n)
    for (Index m = 0; m < y.dim(1); ++m)
      for (Index h = 0; h < y.dim(2); ++h)
        for (Index v = 0; v < y.dim(3); ++v) {
          double sum = 0.0;
          for (Index c = 0; c < w.dim(1); ++c)
            for (Index i = 0; i < w.dim(2); ++i)
              for (Index j = 0; j < w.dim(3); ++j) {
                const Index row = h * o.stride - o.padding + i * o.dilation,
                            column = v * o.stride - o.padding + j * o.dilation;
                if (row < 0 || row >= x.dim(2) || column < 0 || column >= x.dim(3)) continue;
                sum += static_cast<double>(w.data()[w.offset(m, c, i, j)]) *
                       static_cast<double>(x.data()[x.offset(n, m / per_group * w.dim(1) + c, row, column)]);
              }
          y.data()[y.offset(n, m, h, v)] = static_cast<float>(sum);
        }
  return y;
}

}  // namespace

TEST_CASE("cuda conv: pixels are counted in int up to the end of the last tile") {
  const auto pixels = [](Index n) {
    return cuda::detail::conv_shape(loru::detail::ConvExtents({1, 1, 1, n}, {1, 1, 1, 1}, {})).w;
  };
  CHECK(pixels(2147483520) == 2147483520);
  CHECK_THROWS_WITH(pixels(2147483521), "conv2d: expected extents of at most 2147483520, got 2147483521");
}

TEST_CASE("cuda conv: whole numbers give the sums of the definition, and the host's gradients") {
  const OnDevice device(every_block_memory());
  for (const Geometry& g : geometries) {
    INFO("x " << g.x << ", w " << g.w << ", stride " << g.o.stride << ", groups " << g.o.groups);
    const auto x = integers(g.x, 1), w = integers(g.w, 2), dy = integers(conv_shape(g.x, g.w, g.o), 3);
    const auto got = on_device(x, w, dy, g);
    check_close<float>(
        got,
        {defined(x, w, g.o), conv2d_backward_input(dy, w, g.x, g.o), conv2d_backward_weight(dy, x, g.w, g.o)},
        g.o.stride == 1 && g.o.groups == 1 ? 1e-6 : 0.0);  // the host may transform tiles (Winograd)
    for (const auto& y : got) CHECK(y.layout() == Layout::channels_last);
  }
}

TEST_CASE("cuda conv: channels-last and random inputs") {
  const OnDevice device(every_block_memory());
  for (const Geometry& g : geometries) {
    INFO("x " << g.x << ", w " << g.w);
    const auto last = Layout::channels_last;
    const auto x = gaussian<float>(g.x, 1, last), w = gaussian<float>(g.w, 2, last),
               dy = gaussian<float>(conv_shape(g.x, g.w, g.o), 3, last);
    check_close(on_device(x, w, dy, g), passes(x, w, dy, g), 1e-5);
  }
}

TEST_CASE("cuda conv: gradients are the transposes of the forward map") {
  const Geometry g{{2, 6, 7, 6}, {10, 3, 3, 2}, {.stride = 2, .padding = 1, .dilation = 1, .groups = 2}};
  const auto x = integers(g.x, 1), w = integers(g.w, 2), dy = integers(conv_shape(g.x, g.w, g.o), 3);
  const auto results = passes(to_device(x), to_device(w), to_device(dy), {g.x, g.w, g.o});
  const auto inner = [](const Array<float>& a, const Tensor<float>& b) {
    return to_host(sum(multiply(a, to_device(to_layout(b, a.layout()))))).data()[0];
  };
  CHECK(inner(results[0], dy) == inner(results[1], x));
  CHECK(inner(results[0], dy) == inner(results[2], w));
}

TEST_CASE("cuda conv: many pixels are added in pieces") {
  const Geometry g{{8, 2, 17, 16}, {3, 2, 3, 3}, {.padding = 1}};
  const auto x = integers(g.x, 1), w = integers(g.w, 2), dy = integers(conv_shape(g.x, g.w, g.o), 3);
  const auto got = in_all_orders(
      [&] { return std::vector{to_host(conv2d_backward_weight(to_device(dy), to_device(x), g.w, g.o))}; });
  check_close(got, {conv2d_backward_weight(dy, x, g.w, g.o)}, 0.0);
}

TEST_CASE("cuda conv: tiles meet no bank of shared memory twice") {
  const Geometry g{{2, 8, 9, 9}, {68, 8, 3, 3}, {.padding = 1}};
  const auto x = to_device(integers(g.x)), w = to_device(integers(g.w));
  const auto dy = to_device(integers(conv_shape(g.x, g.w, g.o)));
  const auto before = emulator::statistics.bank_conflicts.load();
  emulator::options.banks = true;
  passes(x, w, dy, g);
  emulator::options.banks = false;
  CHECK(emulator::statistics.bank_conflicts.load() == before);
}

TEST_CASE("cuda conv: in double") {
  const auto x = gaussian<double>({2, 6, 7, 9}, 1), w = gaussian<double>({70, 6, 3, 3}, 2);
  const ConvOptions o{.stride = 2, .padding = 1};
  const auto dy = gaussian<double>(conv_shape(x.shape(), w.shape(), o), 3);
  check_close<double>({to_host(conv2d(to_device(x), to_device(w), o)),
                       to_host(conv2d_backward_input(to_device(dy), to_device(w), x.shape(), o)),
                       to_host(conv2d_backward_weight(to_device(dy), to_device(x), w.shape(), o))},
                      {conv2d(x, w, o), conv2d_backward_input(dy, w, x.shape(), o),
                       conv2d_backward_weight(dy, x, w.shape(), o)},
                      1e-13);
}

TEST_CASE("cuda conv: shapes that do not fit are refused in the host's words") {
  const auto x = to_device(integers({2, 3, 5, 5})), w = to_device(integers({4, 2, 3, 3}));
  CHECK_THROWS_WITH(conv2d(x, w, {}),
                    "conv2d: input (2, 3, 5, 5) does not fit weight (4, 2, 3, 3) with 1 groups");
  CHECK_THROWS_WITH(conv2d_backward_input(x, to_device(integers({3, 3, 3, 3})), {2, 3, 5, 5}, {}),
                    "conv2d_backward_input: expected dy of shape (2, 3, 3, 3), got (2, 3, 5, 5)");
}
