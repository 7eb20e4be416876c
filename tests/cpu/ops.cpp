#include <loru/cpu/cpu.hpp>
#include <loru/ops/backend.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::ContainsSubstring;
using loru_test::gaussian;
using loru_test::labels;
using loru_test::same_bits;

static_assert(Backend<Cpu, float>);
static_assert(Backend<Cpu, double>);
static_assert(Backend<Cpu, Dual<float>>);
static_assert(Backend<Cpu, Dual<double>>);

TEST_CASE("elementwise: layouts") {
  const Tensor<float> x = gaussian<float>({2, 3, 4, 5});
  const Tensor<float> last = to_layout(x, Layout::channels_last);
  for (Index n = 0; n < 2; ++n)
    for (Index c = 0; c < 3; ++c)
      for (Index h = 0; h < 4; ++h)
        for (Index w = 0; w < 5; ++w)
          CHECK(last.data()[last.offset(n, c, h, w)] == x.data()[x.offset(n, c, h, w)]);
  CHECK(same_bits(to_layout(last, Layout::row_major), x));
  CHECK(to_layout(x, Layout::row_major).data() == x.data());  // nothing to do
  const Tensor<float> gray(Shape{2, 1, 4, 5});
  CHECK(to_layout(gray, Layout::channels_last).data() == gray.data());  // the same memory
  CHECK(to_layout(gray, Layout::channels_last).layout() == Layout::channels_last);
  CHECK(to_layout(Tensor<float>(Shape{2, 3}), Layout::channels_last).layout() == Layout::row_major);
}

TEST_CASE("elementwise: copies") {
  const Tensor<float> x({3}, {1, 2, 3});
  Tensor<float> y = clone(x);
  CHECK(y.data() != x.data());
  CHECK(same_bits(x, y));
  CHECK_FALSE(clone(Tensor<float>{}));
  fill(y, 7.0f);
  CHECK(x.data()[0] == 1.0f);
  const float* buffer = y.data();
  copy_into(y, x);
  CHECK(same_bits(x, y));
  CHECK(y.data() == buffer);
  Tensor<float> wrong(Shape{4});
  CHECK_THROWS_WITH(copy_into(wrong, x), "copy_into: expected equal shapes, got (4) and (3)");
}

TEST_CASE("elementwise: formulas") {
  const Tensor<double> a({4}, {-1.0, 0.0, 0.5, 2.0}), b({4}, {3.0, 4.0, 5.0, 6.0});
  CHECK(same_bits(add(a, b), Tensor<double>({4}, {2.0, 4.0, 5.5, 8.0})));
  CHECK(same_bits(multiply(a, b), Tensor<double>({4}, {-3.0, 0.0, 2.5, 12.0})));
  CHECK(same_bits(scale(b, 0.5), Tensor<double>({4}, {1.5, 2.0, 2.5, 3.0})));
  CHECK(same_bits(relu(a), Tensor<double>({4}, {0.0, 0.0, 0.5, 2.0})));
  CHECK(same_bits(relu_backward(relu(a), b), Tensor<double>({4}, {0.0, 0.0, 5.0, 6.0})));
  Tensor<double> y = clone(a);
  add_scaled(y, 2.0, b);
  CHECK(same_bits(y, Tensor<double>({4}, {5.0, 8.0, 10.5, 14.0})));
  // x·Φ(x) with Φ(1) = 0.8413447460685429
  CHECK(gelu(Tensor<double>({1}, {1.0})).data()[0] == Approx(0.8413447460685429).epsilon(1e-15));
  CHECK(gelu(Tensor<double>({1}, {-1.0})).data()[0] == Approx(-0.15865525393145707).epsilon(1e-14));
  CHECK_THROWS_WITH(add(a, Tensor<double>({1}, {0.0})), "add: expected equal shapes, got (4) and (1)");
  CHECK_THROWS_WITH(
      add(Tensor<double>(Shape{1, 2, 2, 2}), Tensor<double>(Shape{1, 2, 2, 2}, Layout::channels_last)),
      ContainsSubstring("expected equal layouts"));
}

TEST_CASE("dropout: scales what it keeps, drops a share of p, repeats with the stream") {
  Tensor<float> x(Shape{100001});
  fill(x, 1.0f);
  const double p = GENERATE(0.0, 0.25, 0.9);
  const rng::Stream stream(5, rng::Purpose::dropout);
  const Tensor<float> y = dropout(x, p, stream);
  Index kept = 0;
  for (float v : y.span()) {
    if (v == 0.0f) continue;
    ++kept;
    if (v != static_cast<float>(1.0 / (1.0 - p))) FAIL("an element is neither dropped nor scaled: " << v);
  }
  CHECK(static_cast<double>(kept) / 100001.0 == Approx(1.0 - p).margin(0.006));
  CHECK(same_bits(dropout(x, p, stream), y));
  CHECK(same_bits(dropout(x, p, stream.fork(1)), y) == (p == 0.0));
  CHECK_THROWS_WITH(dropout(x, 1.0, stream), "dropout: expected 0 <= p < 1, got 1");
  CHECK_THROWS_AS(dropout(x, -0.1, stream), ConfigError);
}

TEST_CASE("reduce: sums, norms, finiteness") {
  const Tensor<float> x = gaussian<float>({1000, 7});
  std::vector<double> columns(7);
  double total = 0.0, squares = 0.0;
  for (Index i = 0; i < x.size(); ++i) {
    const auto v = static_cast<double>(x.data()[i]);
    columns[static_cast<std::size_t>(i % 7)] += v;
    total += v;
    squares += v * v;
  }
  const Tensor<float> sums = column_sum(x);
  for (Index j = 0; j < 7; ++j)
    CHECK(sums.data()[j] == Approx(columns[static_cast<std::size_t>(j)]).margin(1e-4));
  CHECK(sum(x).data()[0] == Approx(total).margin(2e-4));
  CHECK(sum(x).shape() == Shape{});
  CHECK(squared_norm(x) == Approx(squares).epsilon(1e-12));
  CHECK(all_finite(x));
  Tensor<float> bad = clone(x);
  bad.data()[5] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(all_finite(bad));
  CHECK_THROWS_AS(column_sum(Tensor<float>(Shape{2, 2, 2})), ShapeError);
}

TEST_CASE("matmul: shapes, transposes, accumulation") {
  const Tensor<double> a({2, 3}, {1, 2, 3, 4, 5, 6}), b({3, 2}, {1, 0, 0, 1, 1, 1});
  CHECK(same_bits(matmul(a, b, {}), Tensor<double>({2, 2}, {4, 5, 10, 11})));
  CHECK(same_bits(matmul(a, a, {.b = Op::transpose}), Tensor<double>({2, 2}, {14, 32, 32, 77})));
  CHECK(same_bits(matmul(b, b, {.a = Op::transpose}), Tensor<double>({2, 2}, {2, 1, 1, 2})));
  Tensor<double> c({2, 2}, {1, 1, 1, 1});
  matmul_into(c, 2.0, a, b, {}, 10.0);
  CHECK(same_bits(c, Tensor<double>({2, 2}, {18, 20, 30, 32})));
  CHECK_THROWS_WITH(matmul(a, a, {}), "matmul: inner extents differ: (2, 3) · (2, 3)");
  CHECK_THROWS_WITH(matmul(a, b, {.a = Op::transpose}), "matmul: inner extents differ: (2, 3)ᵀ · (3, 2)");
  CHECK_THROWS_AS(matmul(Tensor<double>(Shape{2}), a, {}), ShapeError);
  Tensor<double> wrong(Shape{2, 3});
  CHECK_THROWS_WITH(matmul_into(wrong, 1.0, a, b, {}, 0.0),
                    "matmul_into: expected a result of shape (2, 2), got (2, 3)");
  add_bias(c, Tensor<double>({2}, {1, -1}), {});
  CHECK(same_bits(c, Tensor<double>({2, 2}, {19, 19, 31, 31})));
  CHECK_THROWS_WITH(add_bias(c, Tensor<double>(Shape{3}), {}),
                    "add_bias: bias (3) does not fit rows of (2, 2)");
}

TEST_CASE("max_pool2d: the largest of each window and where it was") {
  struct Case {
    Shape x;
    PoolOptions o;
  };
  const Case c = GENERATE(Case{{2, 3, 6, 8}, {}}, Case{{1, 2, 7, 5}, {}}, Case{{2, 3, 7, 7}, {3, 2, 1}},
                          Case{{1, 2, 6, 6}, {3, 1, 0}}, Case{{2, 1, 5, 5}, {2, 3, 1}});
  const Tensor<double> x = gaussian(c.x);
  const MaxPool<double> pooled = max_pool2d(x, c.o);
  const Tensor<double> y = to_layout(pooled.output, Layout::row_major), dy = gaussian(y.shape(), 2);
  Tensor<double> dx(c.x);
  fill(dx, 0.0);
  for (Index at = 0; at < y.size(); ++at) {
    const Index ow = at % y.dim(3), oh = at / y.dim(3) % y.dim(2), image = at / (y.dim(2) * y.dim(3));
    Index best = -1;
    for (Index h = oh * c.o.stride - c.o.padding; h < oh * c.o.stride - c.o.padding + c.o.kernel; ++h)
      for (Index w = ow * c.o.stride - c.o.padding; w < ow * c.o.stride - c.o.padding + c.o.kernel; ++w) {
        if (h < 0 || h >= c.x[2] || w < 0 || w >= c.x[3]) continue;
        const Index pixel = (image * c.x[2] + h) * c.x[3] + w;
        if (best < 0 || x.data()[pixel] > x.data()[best]) best = pixel;
      }
    REQUIRE(y.data()[at] == x.data()[best]);
    dx.data()[best] += dy.data()[at];
  }
  CHECK(close(max_pool2d_backward(dy, pooled.winners, c.x), dx));
  CHECK(same_bits(max_pool2d(to_layout(x, Layout::channels_last), c.o).output, y));
}

TEST_CASE("max_pool2d: ties and errors") {
  Tensor<float> flat(Shape{1, 1, 2, 2});
  fill(flat, 1.0f);
  CHECK(max_pool2d(flat, {}).winners.data()[0] == 0);
  fill(flat, -1.0f);
  CHECK(max_pool2d(flat, {3, 1, 1}).output.data()[0] == -1.0f);  // padding does not win
  CHECK_THROWS_WITH(max_pool2d(flat, {3, 1, 0}), "max_pool2d: window of 3 does not fit into 2 + 2·0");
  CHECK_THROWS_WITH(max_pool2d(flat, {2, 2, 2}),
                    "max_pool2d: expected padding of at most half the kernel 2, got 2");
  CHECK_THROWS_AS(max_pool2d(Tensor<float>(Shape{2, 2}), {}), ShapeError);
}

TEST_CASE("adaptive_avg_pool2d: means of windows that tile the image") {
  const Tensor<double> x = gaussian({2, 3, 5, 7});
  const auto [ho, wo] = GENERATE(table<Index, Index>({{1, 1}, {2, 3}, {5, 7}, {7, 4}}));
  const Tensor<double> y = to_layout(adaptive_avg_pool2d(x, ho, wo), Layout::row_major);
  const Tensor<double> dy = gaussian(y.shape(), 2);
  Tensor<double> dx(x.shape());
  fill(dx, 0.0);
  for (Index at = 0; at < y.size(); ++at) {
    const Index j = at % wo, i = at / wo % ho, image = at / (ho * wo);
    const Index h0 = i * 5 / ho, h1 = ((i + 1) * 5 + ho - 1) / ho, w0 = j * 7 / wo,
                w1 = ((j + 1) * 7 + wo - 1) / wo;
    double sum = 0.0;
    for (Index h = h0; h < h1; ++h)
      for (Index w = w0; w < w1; ++w) {
        sum += x.data()[(image * 5 + h) * 7 + w];
        dx.data()[(image * 5 + h) * 7 + w] += dy.data()[at] / static_cast<double>((h1 - h0) * (w1 - w0));
      }
    REQUIRE(y.data()[at] == Approx(sum / static_cast<double>((h1 - h0) * (w1 - w0))).epsilon(1e-12));
  }
  CHECK(close(adaptive_avg_pool2d_backward(dy, x.shape()), dx));
  CHECK_THROWS_AS(adaptive_avg_pool2d(x, 0, 1), ShapeError);
}

TEST_CASE("norm: moments and normalised values, by channel and by group") {
  const Index n = 3, c = 6, h = 4, w = 5;
  const Tensor<double> x = gaussian({n, c, h, w}), gamma = gaussian({c}, 2), beta = gaussian({c}, 3);
  const double epsilon = 1e-3;
  // groups = 0 stands for batch normalisation.
  const Index groups = GENERATE(0, 1, 2, 6);
  const Moments<double> m = groups == 0 ? batch_moments(x, epsilon) : group_moments(x, groups, epsilon);
  const Tensor<double> y = to_layout(normalise(x, m, gamma, beta, {}), Layout::row_major);
  const auto key = [&](Index i) {  // what shares its moments with element i
    const Index channel = i / (h * w) % c, image = i / (h * w * c);
    return groups == 0 ? channel : image * groups + channel / (c / groups);
  };
  for (Index k = 0; k < m.mean.size(); ++k) {
    double count = 0.0, sum = 0.0, squares = 0.0;
    for (Index i = 0; i < x.size(); ++i) {
      if (key(i) != k) continue;
      count += 1.0;
      sum += x.data()[i];
      squares += x.data()[i] * x.data()[i];
    }
    const double mean = sum / count, variance = squares / count - mean * mean;
    CHECK(m.mean.data()[k] == Approx(mean).margin(1e-12));
    CHECK(m.variance.data()[k] == Approx(variance).epsilon(1e-11));
    CHECK(m.inverse_deviation.data()[k] == Approx(1.0 / std::sqrt(variance + epsilon)).epsilon(1e-11));
  }
  for (Index i = 0; i < x.size(); ++i) {
    const Index channel = i / (h * w) % c;
    const double normal = (x.data()[i] - m.mean.data()[key(i)]) * m.inverse_deviation.data()[key(i)];
    REQUIRE(y.data()[i] == Approx(gamma.data()[channel] * normal + beta.data()[channel]).margin(1e-12));
  }
}

TEST_CASE("norm: what does not fit is refused") {
  const Tensor<float> x = gaussian<float>({2, 6, 3, 3}), four = gaussian<float>({4}),
                      six = gaussian<float>({6});
  CHECK_THROWS_AS(normalise(x, batch_moments(x, 1e-5), four, four, {}), ShapeError);
  CHECK_THROWS_AS(batch_moments(Tensor<float>(Shape{0, 6, 3, 3}), 1e-5), ShapeError);
  CHECK_THROWS_WITH(group_moments(x, 4, 1e-5), "group_norm: 4 groups do not divide 6 channels");
  CHECK_THROWS_AS(group_moments(x, 0, 1e-5), ShapeError);
  CHECK_THROWS_AS(group_moments(x, 12, 1e-5), ShapeError);
  CHECK_THROWS_AS(group_moments(gaussian<float>({2, 6}), 2, 1e-5), ShapeError);
  CHECK_THROWS_AS(normalise(x, group_moments(x, 2, 1e-5), four, four, {}), ShapeError);
}

TEST_CASE("cross_entropy: mean of minus log softmax, stable, with its errors") {
  const Tensor<double> z = gaussian({5, 4});
  const Tensor<std::int32_t> y = labels(5, 4);
  double expected = 0.0;
  for (Index i = 0; i < 5; ++i) {
    double sum = 0.0;
    for (Index j = 0; j < 4; ++j) sum += std::exp(z.data()[i * 4 + j]);
    expected -= std::log(std::exp(z.data()[i * 4 + y.data()[i]]) / sum) / 5.0;
  }
  const LossValue<double> loss = cross_entropy(z, y);
  CHECK(loss.loss.shape() == Shape{});
  CHECK(loss.loss.data()[0] == Approx(expected).epsilon(1e-13));
  const Tensor<double> rows = matmul(loss.kept, Tensor<double>({4, 1}, {1, 1, 1, 1}), {});
  for (double sum : rows.span()) CHECK(sum == Approx(1.0));
  const Tensor<float> huge({1, 2}, {1e4f, -1e4f});
  CHECK(cross_entropy(huge, labels(1, 2)).loss.data()[0] == 0.0f);

  CHECK_THROWS_WITH(cross_entropy(z, labels(4, 4)),
                    "cross_entropy: expected (M, classes) logits and M labels, got (5, 4) and (4)");
  CHECK_THROWS_WITH(cross_entropy(z, labels(5, 5)),
                    "cross_entropy: label 4 of row 4 is outside the 4 classes");
  CHECK_THROWS_AS(cross_entropy(Tensor<double>(Shape{0, 4}), labels(0, 4)), ShapeError);
}

TEST_CASE("losses: correct rows, squared errors") {
  const Tensor<float> z({3, 2}, {1, 0, 0, 1, 2, 2});
  CHECK(count_correct(z, labels(3, 2)) == 3);  // the first of equals counts
  CHECK(count_correct(z, labels(3, 1)) == 2);
  const Tensor<double> y({2}, {1, 2}), t({2}, {0, 4});
  const LossValue<double> loss = mean_squared_error(y, t);
  CHECK(loss.loss.data()[0] == 2.5);
  CHECK(same_bits(mean_squared_error_backward(Tensor<double>(Shape{}, {3.0}), loss.kept),
                  Tensor<double>({2}, {3.0, -6.0})));
  CHECK_THROWS_AS(mean_squared_error(y, Tensor<double>(Shape{3})), ShapeError);
}

TEST_CASE("losses: binary cross-entropy of logits") {
  // PyTorch's binary_cross_entropy_with_logits, by its formula in Python's doubles; large logits stay finite.
  const Tensor<double> z({2, 3}, {0.0, 1.5, -2.25, 40.0, -120.0, 0.75}), t({2, 3}, {1, 0, 1, 0, 0, 0.25});
  const LossValue<double> loss = binary_cross_entropy(z, t);
  CHECK(loss.loss.data()[0] == Approx(7.615689670595724).epsilon(1e-15));
  const auto dz = binary_cross_entropy_backward(Tensor<double>(Shape{}, {3.0}), loss.kept);
  const double expected[] = {-0.25, 0.4087872380968218,     -0.4523252675504453,
                             0.5,   3.8338240368610003e-53, 0.2145893495876965};
  for (Index i = 0; i < 6; ++i) CHECK(dz.data()[i] == Approx(expected[i]).epsilon(1e-14).margin(1e-60));
  CHECK(binary_cross_entropy(Tensor<float>({1}, {-200.0f}), Tensor<float>({1}, {1.0f})).loss.data()[0] ==
        200.0f);
  CHECK_THROWS_AS(binary_cross_entropy(z, Tensor<double>(Shape{3})), ShapeError);
  CHECK_THROWS_WITH(binary_cross_entropy(Tensor<double>(Shape{0}), Tensor<double>(Shape{0})),
                    "binary_cross_entropy: expected at least one element");
}

TEST_CASE("lowrank_merge: W + s·B·A for matrices and convolutions, in either layout") {
  const Shape shape = GENERATE(Shape{6, 5}, Shape{4, 3, 3, 2});
  const Layout layout = GENERATE(Layout::row_major, Layout::channels_last);
  const Index r = GENERATE(1, 3), m = shape[0], n = shape.size() / m;
  const Shape shape_a = shape.rank() == 4 ? Shape{r, shape[1], shape[2], shape[3]} : Shape{r, n};
  const Tensor<double> w = gaussian(shape, 1), a = gaussian(shape_a, 2), b = gaussian({m, r}, 3);
  Tensor<double> expected = clone(w);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < r; ++k)
        expected.data()[i * n + j] += 0.5 * b.data()[i * r + k] * a.data()[k * n + j];
  const Tensor<double> w_there = to_layout(w, layout), a_there = to_layout(a, layout);
  CHECK(close(lowrank_compose(w_there, a_there, b, 0.5), expected));
  CHECK(same_bits(w_there, w));  // composing leaves W alone
  Tensor<double> merged = clone(w_there);
  lowrank_merge(merged, a_there, b, 0.5);
  CHECK(close(merged, expected));
}

TEST_CASE("lowrank_merge: factors that do not fit") {
  Tensor<float> w(Shape{4, 6}), conv(Shape{4, 2, 3, 1}, Layout::channels_last);
  CHECK_THROWS_WITH(lowrank_merge(w, Tensor<float>(Shape{2, 5}), Tensor<float>(Shape{4, 2}), 1.0),
                    "lowrank_merge: factors A (2, 5) and B (4, 2) do not fit weight (4, 6)");
  CHECK_THROWS_AS(lowrank_merge(w, Tensor<float>(Shape{2, 6}), Tensor<float>(Shape{4, 3}), 1.0), ShapeError);
  CHECK_THROWS_WITH(lowrank_merge(conv, Tensor<float>(Shape{2, 2, 3, 1}), Tensor<float>(Shape{4, 2}), 1.0),
                    "lowrank_merge: expected A in the layout of W, channels-last, got row-major");
}
