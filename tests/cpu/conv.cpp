#include <loru/cpu/conv/conv_bodies.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

struct Geometry {
  Shape x, w;
  ConvOptions o;
};

std::ostream& operator<<(std::ostream& out, const Geometry& g) {
  return out << "x " << g.x << ", w " << g.w << ", stride " << g.o.stride << ", padding " << g.o.padding
             << ", dilation " << g.o.dilation << ", groups " << g.o.groups;
}

const std::vector<Geometry>& geometries() {
  static const std::vector<Geometry> all{
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},                             // the smallest
      {{2, 3, 5, 7}, {4, 3, 3, 3}, {}},                             // odd image
      {{1, 3, 6, 5}, {4, 3, 3, 3}, {.padding = 1}},                 // batch 1, "same"
      {{3, 2, 7, 7}, {5, 2, 3, 3}, {.stride = 2, .padding = 1}},    // strided
      {{2, 2, 8, 8}, {3, 2, 3, 3}, {.stride = 3}},                  // a stride that leaves pixels out
      {{2, 2, 9, 8}, {3, 2, 3, 3}, {.padding = 2, .dilation = 2}},  // dilated
      {{2, 2, 9, 8}, {3, 2, 3, 3}, {.stride = 2, .padding = 3, .dilation = 3}},  // dilated and strided
      {{2, 6, 5, 5}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}},                 // groups
      {{2, 4, 5, 5}, {4, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 4}},    // depthwise
      {{2, 4, 6, 5}, {8, 1, 2, 2}, {.dilation = 2, .groups = 4}},  // depthwise, two maps a channel
      {{2, 3, 4, 4}, {2, 3, 3, 3}, {.padding = 4}},                // windows wholly outside
      {{2, 3, 6, 9}, {2, 3, 2, 4}, {.padding = 1}},                // an even, oblong kernel
      {{1, 2, 5, 4}, {2, 2, 5, 1}, {}},                            // a kernel as high as the image
      {{2, 3, 4, 5}, {6, 3, 1, 1}, {}},                            // pointwise
      {{2, 3, 5, 5}, {6, 3, 1, 1}, {.stride = 2}},                 // pointwise, strided
      {{2, 4, 3, 3}, {6, 2, 1, 1}, {.padding = 1, .groups = 2}},   // pointwise, padded, in groups
      {{2, 40, 20, 33}, {5, 40, 3, 3}, {.padding = 1}},            // more than one block of lines
      {{9, 3, 40, 40}, {2, 3, 3, 3}, {.stride = 2}},               // the same for a small window
  };
  return all;
}

/// f(offset in x, offset in w, offset in y) for every product of a convolution of row-major tensors.
template <class F>
void for_each_product(const Geometry& g, const Shape& y, F f) {
  const Index cg = g.w[1], mg = g.w[0] / g.o.groups;
  for (Index n = 0; n < y[0]; ++n)
    for (Index m = 0; m < y[1]; ++m)
      for (Index oh = 0; oh < y[2]; ++oh)
        for (Index ow = 0; ow < y[3]; ++ow)
          for (Index c = 0; c < cg; ++c)
            for (Index i = 0; i < g.w[2]; ++i)
              for (Index j = 0; j < g.w[3]; ++j) {
                const Index h = oh * g.o.stride - g.o.padding + i * g.o.dilation;
                const Index w = ow * g.o.stride - g.o.padding + j * g.o.dilation;
                if (h < 0 || h >= g.x[2] || w < 0 || w >= g.x[3]) continue;
                const Index channel = m / mg * cg + c;
                f(((n * g.x[1] + channel) * g.x[2] + h) * g.x[3] + w,
                  ((m * cg + c) * g.w[2] + i) * g.w[3] + j, ((n * y[1] + m) * y[2] + oh) * y[3] + ow);
              }
}

template <class T>
struct Results {
  Tensor<T> y, dx, dw;
};

template <class T>
Results<T> run(const Geometry& g, const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& dy) {
  return {conv2d(x, w, g.o), conv2d_backward_input(dy, w, g.x, g.o), conv2d_backward_weight(dy, x, g.w, g.o)};
}

template <class T>
Results<T> naive(const Geometry& g, const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& dy) {
  Results<T> r{Tensor<T>(dy.shape()), Tensor<T>(g.x), Tensor<T>(g.w)};
  for (Tensor<T>* t : {&r.y, &r.dx, &r.dw}) fill(*t, T(0));
  for_each_product(g, dy.shape(), [&](Index at_x, Index at_w, Index at_y) {
    r.y.data()[at_y] += x.data()[at_x] * w.data()[at_w];
    r.dx.data()[at_x] += dy.data()[at_y] * w.data()[at_w];
    r.dw.data()[at_w] += dy.data()[at_y] * x.data()[at_x];
  });
  return r;
}

}  // namespace

TEMPLATE_TEST_CASE("conv2d: value and both gradients equal the definition", "", float, double) {
  using T = TestType;
  const Geometry g = geometries()[GENERATE(Catch::Generators::range(std::size_t{0}, geometries().size()))];
  INFO(concat(g));
  const Tensor<T> x = gaussian<T>(g.x, 1), w = gaussian<T>(g.w, 2),
                  dy = gaussian<T>(conv_shape(g.x, g.w, g.o), 3);
  const Results<T> got = run(g, x, w, dy), expected = naive(g, x, w, dy);
  CHECK(close(got.y, expected.y));
  CHECK(close(got.dx, expected.dx));
  CHECK(close(got.dw, expected.dw));

  const auto last = [](const Tensor<T>& t) { return to_layout(t, Layout::channels_last); };
  const Results<T> from_last = run(g, last(x), last(w), last(dy));
  CHECK(same_bits(from_last.y, got.y));
  CHECK(same_bits(from_last.dx, got.dx));
  CHECK(same_bits(from_last.dw, got.dw));
}

TEMPLATE_TEST_CASE("conv2d: straight from images as by windows", "", float, double) {
  struct Case {
    Index n, cin, cout, h, w, kernel, stride, padding;
  };
  using T = TestType;
  for (const Case& c :
       {Case{2, 1, 5, 9, 8, 5, 1, 2}, Case{2, 1, 32, 9, 8, 5, 1, 2}, Case{3, 3, 70, 8, 11, 3, 1, 1},
        Case{3, 3, 64, 8, 11, 3, 1, 1}, Case{1, 64, 33, 9, 9, 1, 2, 0}, Case{2, 2, 16, 7, 7, 3, 2, 1},
        Case{1, 50, 4, 10, 9, 3, 3, 2}, Case{0, 3, 4, 8, 8, 3, 1, 1}}) {
    CAPTURE(c.n, c.cin, c.cout, c.h, c.w, c.kernel, c.stride, c.padding);
    const ConvOptions o{c.stride, c.padding, 1, 1};
    const Tensor<T> x = gaussian<T>({c.n, c.cin, c.h, c.w}, 1, Layout::channels_last),
                    w = gaussian<T>({c.cout, c.cin, c.kernel, c.kernel}, 2, Layout::channels_last);
    const detail::ConvExtents e(x.shape(), w.shape(), o);
    const Tensor<T> dy = gaussian<T>({e.n, e.cout, e.ho, e.wo}, 3, Layout::channels_last);
    CHECK(close(cpu::lines_forward(e, x, w), cpu::windows_forward(e, x, w)));
    CHECK(close(cpu::lines_weight_gradient(e, dy, x), cpu::windows_weight_gradient(e, dy, x)));
  }
}

TEST_CASE("conv2d: one bit pattern for any number of threads") {
  WorkerPool pool(GENERATE(2, 3));
  for (const Geometry& g : geometries()) {
    INFO(concat(g));
    const Tensor<float> x = gaussian<float>(g.x, 1), w = gaussian<float>(g.w, 2),
                        dy = gaussian<float>(conv_shape(g.x, g.w, g.o), 3);
    const Results<float> serial = run(g, x, w, dy);
    const ParallelScope scope(pool);
    const Results<float> parallel = run(g, x, w, dy);
    CHECK(same_bits(parallel.y, serial.y));
    CHECK(same_bits(parallel.dx, serial.dx));
    CHECK(same_bits(parallel.dw, serial.dw));
  }
}

TEST_CASE("conv2d: on duals the value is the plain value, the tangent the derivative") {
  using D = Dual<double>;
  for (const Geometry& g : {geometries()[3], geometries()[7], geometries()[10], geometries()[13]}) {
    INFO(concat(g));
    const Tensor<D> x = gaussian<D>(g.x, 1), w = gaussian<D>(g.w, 2),
                    dy = gaussian<D>(conv_shape(g.x, g.w, g.o), 3);
    const Results<D> got = run(g, x, w, dy), expected = naive(g, x, w, dy);
    const Results<double> plain = run(g, split(x).value, split(w).value, split(dy).value);
    CHECK(same_bits(split(got.y).value, plain.y));
    CHECK(same_bits(split(got.dx).value, plain.dx));
    CHECK(same_bits(split(got.dw).value, plain.dw));
    const auto tangent = [](const Tensor<D>& t) { return split(t).tangent; };
    CHECK(close(tangent(got.y), tangent(expected.y)));
    CHECK(close(tangent(got.dx), tangent(expected.dx)));
    CHECK(close(tangent(got.dw), tangent(expected.dw)));
  }
}

TEST_CASE("conv2d: an empty batch") {
  const Geometry g{{0, 2, 5, 5}, {3, 2, 3, 3}, {.padding = GENERATE(0, 1)}};
  const Shape y = conv_shape(g.x, g.w, g.o);
  const Results<float> r = run(g, Tensor<float>(g.x), gaussian<float>(g.w), Tensor<float>(y));
  CHECK(r.y.shape() == y);
  CHECK(r.dx.shape() == g.x);
  for (float d : r.dw.span()) CHECK(d == 0.0f);
}

TEST_CASE("conv2d: what does not fit is refused by name") {
  const Tensor<float> x(Shape{1, 4, 5, 5}), w(Shape{2, 4, 3, 3});
  CHECK_THROWS_WITH(conv2d(x, Tensor<float>(Shape{2, 3, 3, 3}), {}),
                    "conv2d: input (1, 4, 5, 5) does not fit weight (2, 3, 3, 3) with 1 groups");
  CHECK_THROWS_AS(conv2d(x, w, {.groups = 2}), ShapeError);
  CHECK_THROWS_AS(conv2d(x, w, {.groups = 0}), ShapeError);
  CHECK_THROWS_AS(conv2d(x, w, {.stride = 0}), ShapeError);
  CHECK_THROWS_AS(conv2d(x, w, {.padding = -1}), ShapeError);
  CHECK_THROWS_WITH(conv2d(x, Tensor<float>(Shape{2, 4, 6, 6}), {}),
                    "conv2d: window of 6 does not fit into 5 + 2·0");
  CHECK_THROWS_WITH(conv2d(x, Tensor<float>(Shape{2, 4}), {}),
                    "conv2d: expected input and weight of rank 4, got (1, 4, 5, 5) and (2, 4)");
  const Tensor<float> dy(Shape{1, 2, 4, 4});
  CHECK_THROWS_WITH(conv2d_backward_input(dy, w, x.shape(), {}),
                    "conv2d_backward_input: expected dy of shape (1, 2, 3, 3), got (1, 2, 4, 4)");
  CHECK_THROWS_AS(conv2d_backward_weight(dy, x, w.shape(), {}), ShapeError);
}
