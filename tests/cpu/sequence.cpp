// Ops on rows of sequences, but attention, against plain loops.
#include <loru/cpu/cpu.hpp>

#include "support/catch.hpp"
#include "support/dual.hpp"
#include "support/skip.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::check_dual;
using loru_test::close;
using loru_test::difference;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

Tensor<std::int32_t> numbers(std::initializer_list<std::int32_t> values) {
  return Tensor<std::int32_t>({static_cast<Index>(values.size())}, values);
}

Sequences of_lengths(std::initializer_list<Index> lengths, Index offset = 0) {
  Sequences s;
  for (const Index length : lengths) s.starts.push_back(s.starts.back() + length);
  s.offset = offset;
  return s;
}

/// A table of rotary angles with theta = 100.
template <class T>
Tensor<T> angles(Index positions, Index width) {
  Tensor<T> table({positions, width});
  for (Index p = 0; p < positions; ++p)
    for (Index j = 0; j < width / 2; ++j) {
      const double angle = static_cast<double>(p) *
                           std::pow(100.0, -2.0 * static_cast<double>(j) / static_cast<double>(width));
      table.data()[p * width + j] = T(static_cast<Real<T>>(std::cos(angle)));
      table.data()[p * width + width / 2 + j] = T(static_cast<Real<T>>(std::sin(angle)));
    }
  return table;
}

}  // namespace

TEMPLATE_TEST_CASE("embedding: rows and their sums", "", float, double) {
  using T = TestType;
  const auto table = gaussian<T>({5, 3}), dy = gaussian<T>({6, 3}, 2);
  const auto rows = numbers({4, 0, 4, 2, 0, 4});
  const auto y = embedding(table, rows);
  Tensor<T> expected({5, 3});
  fill(expected, T(0));
  for (Index i = 0; i < 6; ++i)
    for (Index j = 0; j < 3; ++j) {
      CHECK(y.data()[i * 3 + j] == table.data()[rows.data()[i] * 3 + j]);
      expected.data()[rows.data()[i] * 3 + j] += dy.data()[i * 3 + j];
    }
  const auto d = embedding_backward(dy, rows, table.shape());
  CHECK(same_bits(d, expected));
  WorkerPool pool(3);
  ParallelScope scope(pool);
  CHECK(same_bits(embedding_backward(dy, rows, table.shape()), d));
}

TEST_CASE("embedding: refuses rows outside the table") {
  const auto table = gaussian<float>({5, 3});
  CHECK_THROWS_WITH(embedding(table, numbers({1, 5})),
                    "embedding: row 5 at place 1 is outside the 5 rows of the table");
  CHECK_THROWS_WITH(embedding(table, numbers({-1})),
                    "embedding: row -1 at place 0 is outside the 5 rows of the table");
  CHECK_THROWS_WITH(embedding_backward(table, numbers({1, 2}), {5, 3}),
                    "embedding_backward: expected dy of shape (2, 3), got (5, 3)");
}

TEMPLATE_TEST_CASE("row norms: against plain loops", "", float, double) {
  using T = TestType;
  const Index n = GENERATE(Index{1}, Index{7}, Index{16}, Index{100});
  const bool centred = GENERATE(true, false);
  const auto x = gaussian<T>({9, n}, 1), r = gaussian<T>({9, n}, 2), g = gaussian<T>({n}, 3),
             b = gaussian<T>({n}, 4), dy = gaussian<T>({9, n}, 5), ds = gaussian<T>({9, n}, 6);
  const auto got = centred ? layer_norm(x, r, g, b, 1e-3) : rms_norm(x, r, g, 1e-3);
  const auto d =
      centred ? layer_norm_backward(clone(dy), ds, got, g, {}) : rms_norm_backward(clone(dy), ds, got, g, {});
  Tensor<T> y({9, n}), dx({9, n}), dg({n}), db({n});
  fill(dg, T(0));
  fill(db, T(0));
  for (Index i = 0; i < 9; ++i) {
    const auto at = [&](const Tensor<T>& t, Index j) { return static_cast<double>(t.data()[i * n + j]); };
    const auto of = [&](const Tensor<T>& t, Index j) { return static_cast<double>(t.data()[j]); };
    double mean = 0.0, squares = 0.0, a = 0.0, c = 0.0;
    for (Index j = 0; centred && j < n; ++j) mean += (at(x, j) + at(r, j)) / static_cast<double>(n);
    for (Index j = 0; j < n; ++j) squares += std::pow(at(x, j) + at(r, j) - mean, 2);
    const double rho = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-3);
    const auto hat = [&](Index j) { return (at(x, j) + at(r, j) - mean) * rho; };
    for (Index j = 0; j < n; ++j) {
      a += centred ? of(g, j) * at(dy, j) / static_cast<double>(n) : 0.0;
      c += of(g, j) * at(dy, j) * hat(j) / static_cast<double>(n);
    }
    for (Index j = 0; j < n; ++j) {
      y.data()[i * n + j] = static_cast<T>(of(g, j) * hat(j) + (centred ? of(b, j) : 0.0));
      dx.data()[i * n + j] = static_cast<T>(rho * (of(g, j) * at(dy, j) - a - hat(j) * c) + at(ds, j));
      dg.data()[j] += static_cast<T>(at(dy, j) * hat(j));
      db.data()[j] += static_cast<T>(at(dy, j));
    }
  }
  CHECK(same_bits(got.sum, add(x, r)));
  CHECK(close(got.y, y));
  CHECK(close(d.dx, dx));
  CHECK(close(d.dgamma, dg));
  if (centred) CHECK(close(d.dbeta, db));
  CHECK_FALSE(layer_norm_backward(dy, {}, layer_norm(x, {}, g, b, 1e-3), g, {true, false}).dgamma);
}

TEST_CASE("row norms: a row has the bits in a batch that it has alone") {
  const auto x = gaussian<float>({300, 50}), g = gaussian<float>({50}, 2), b = gaussian<float>({50}, 3);
  const auto all = layer_norm(x, {}, g, b, 1e-5).y;
  Tensor<float> one({1, 50});
  std::copy(x.data() + 299 * 50, x.data() + 300 * 50, one.data());
  const auto alone = layer_norm(one, {}, g, b, 1e-5).y;
  CHECK(std::equal(alone.data(), alone.data() + 50, all.data() + 299 * 50));
  CHECK_THROWS_WITH(layer_norm(x, {}, b.reshape({5, 10}), b, 1e-5),
                    "layer_norm: expected rows (M, n) and n factors, got (300, 50) and (5, 10)");
}

TEST_CASE("row norms: refuse what does not fit") {
  const auto x = gaussian<float>({3, 4}), g = gaussian<float>({4}, 2);
  CHECK_THROWS_WITH(layer_norm(x, {}, g, {}, 1e-5), "layer_norm: expected 4 numbers to add to a row, got ()");
  const auto kept = rms_norm(x, {}, g, 1e-5);
  CHECK_THROWS_WITH(layer_norm_backward(x, {}, kept, g, {}),
                    "layer_norm_backward: expected the moments of 3 rows, got means () and deviations (3)");
  CHECK_THROWS_WITH(rms_norm_backward(x, {}, {}, g, {}),
                    "rms_norm_backward: expected equal shapes, got (3, 4) and ()");
}

TEMPLATE_TEST_CASE("activations: formulas", "", float, double) {
  using T = TestType;
  const auto x = scale(gaussian<T>({3, 41}, 1), T(3)), u = gaussian<T>({3, 41}, 2),
             dy = gaussian<T>({3, 41}, 3);
  Tensor<T> y(x.shape()), dg(x.shape()), du(x.shape()), gelus(x.shape()), slopes(x.shape());
  for (Index i = 0; i < x.size(); ++i) {
    const double v = x.data()[i], up = u.data()[i], d = dy.data()[i], s = 1.0 / (1.0 + std::exp(-v));
    y.data()[i] = static_cast<T>(v * s * up);
    dg.data()[i] = static_cast<T>(d * up * (s + v * s * (1.0 - s)));
    du.data()[i] = static_cast<T>(d * v * s);
    gelus.data()[i] = static_cast<T>(scalar::gelu(v));
    slopes.data()[i] = static_cast<T>(d * scalar::gelu_slope(v));
  }
  CHECK(close(swiglu(x, u), y));
  const auto d = swiglu_backward(x, u, dy);
  CHECK(close(d.gate, dg));
  CHECK(close(d.up, du));
  CHECK(close(gelu(x), gelus));
  CHECK(close(gelu_backward(x, dy), slopes));
}

TEST_CASE("activations: floats from one end to the other") {
  constexpr Index n = 40001;
  Tensor<float> x({n}), one({n});
  fill(one, 1.0f);
  for (Index i = 0; i < n; ++i) x.data()[i] = static_cast<float>(i - n / 2) * 1e-3f;  // −20 .. 20
  const auto y = gelu(x), slope = gelu_backward(x, one);
  double worst = 0.0, worst_slope = 0.0;
  for (Index i = 0; i < n; ++i) {
    const double v = x.data()[i];
    worst = std::max(worst, std::abs(y.data()[i] - scalar::gelu(v)) / std::max(1.0, std::abs(v)));
    worst_slope = std::max(worst_slope, std::abs(slope.data()[i] - scalar::gelu_slope(v)));
  }
  CHECK(worst < 3e-7);
  CHECK(worst_slope < 1e-6);
  const float infinite = std::numeric_limits<float>::infinity();
  const Tensor<float> odd({4}, {std::nanf(""), infinite, -100.0f, 100.0f});
  CHECK(std::isnan(gelu(odd).data()[0]));
  CHECK(gelu(odd).data()[1] == infinite);
  CHECK(gelu(odd).data()[2] == 0.0f);
  CHECK(gelu(odd).data()[3] == 100.0f);
  const auto silu = swiglu(odd, Tensor<float>({4}, {1.0f, 1.0f, 1.0f, 1.0f}));
  CHECK(std::isnan(silu.data()[0]));
  CHECK(silu.data()[2] == 0.0f);
  CHECK(silu.data()[3] == 100.0f);
  // an element's bits do not depend on its place
  CHECK(gelu(Tensor<float>({1}, {x.data()[n / 2 + 777]})).data()[0] == y.data()[n / 2 + 777]);
}

TEST_CASE("rotary: turns pairs by the angle of their position") {
  const auto table = angles<double>(9, 4);
  const Sequences s = of_lengths({1, 3}, 5);
  const auto x = gaussian({4, 8});
  const auto y = rotary(x, table, s, false);
  const Index positions[] = {5, 5, 6, 7};
  for (Index i = 0; i < 4; ++i)
    for (Index head = 0; head < 2; ++head)
      for (Index j = 0; j < 2; ++j) {
        const double angle =
            static_cast<double>(positions[i]) * std::pow(100.0, -0.5 * static_cast<double>(j));
        const double a = x.data()[i * 8 + head * 4 + j], b = x.data()[i * 8 + head * 4 + j + 2];
        CHECK(y.data()[i * 8 + head * 4 + j] == Approx(a * std::cos(angle) - b * std::sin(angle)));
        CHECK(y.data()[i * 8 + head * 4 + j + 2] == Approx(b * std::cos(angle) + a * std::sin(angle)));
      }
  CHECK(close(rotary(y, table, s, true), x));
  CHECK_THROWS_WITH(rotary(x, table, of_lengths({1, 3}, 7), false),
                    "rotary: expected at most 9 positions, got 10");
}

namespace {

template <class T>
void check_loss(Index rows, Index classes, Index d) {
  const auto h = gaussian<T>({rows, d}, 1), w = gaussian<T>({classes, d}, 2), dv = gaussian<T>({rows, 2}, 3);
  Tensor<std::int32_t> targets(Shape{rows});
  for (Index i = 0; i < rows; ++i)
    targets.data()[i] = i % 4 == 1 ? no_target : static_cast<std::int32_t>(i * 7 % classes);
  Tensor<T> values({rows, 2}), slope({rows, d}), dh({rows, d}), dw({classes, d});
  for (auto* t : {&values, &slope, &dh, &dw}) fill(*t, T(0));
  for (Index i = 0; i < rows; ++i) {
    const Index target = targets.data()[i];
    if (target == no_target) continue;
    std::vector<double> z(static_cast<std::size_t>(classes), 0.0);
    for (Index c = 0; c < classes; ++c)
      for (Index j = 0; j < d; ++j)
        z[static_cast<std::size_t>(c)] +=
            static_cast<double>(h.data()[i * d + j]) * static_cast<double>(w.data()[c * d + j]);
    const double most = *std::max_element(z.begin(), z.end());
    double sum = 0.0;
    for (const double x : z) sum += std::exp(x - most);
    values.data()[2 * i] = static_cast<T>(most + std::log(sum) - z[static_cast<std::size_t>(target)]);
    values.data()[2 * i + 1] = z[static_cast<std::size_t>(target)] == most ? T(1) : T(0);
    for (Index c = 0; c < classes; ++c) {
      const double p = std::exp(z[static_cast<std::size_t>(c)] - most) / sum - (c == target ? 1.0 : 0.0);
      for (Index j = 0; j < d; ++j) {
        slope.data()[i * d + j] += static_cast<T>(p * static_cast<double>(w.data()[c * d + j]));
        dw.data()[c * d + j] += static_cast<T>(p * static_cast<double>(dv.data()[2 * i]) *
                                               static_cast<double>(h.data()[i * d + j]));
      }
    }
    for (Index j = 0; j < d; ++j) dh.data()[i * d + j] = dv.data()[2 * i] * slope.data()[i * d + j];
  }
  const auto got = token_loss(h, w, targets, true);
  CHECK(close(got.values, values));
  CHECK(close(got.slope, slope));
  const auto g = token_loss_backward(dv, h, w, targets, got, true);
  CHECK(close(g.dh, dh));
  CHECK(close(g.dw, dw));
  const auto bare = token_loss(h, w, targets, false);
  CHECK(same_bits(bare.values, got.values));
  CHECK_FALSE(bare.slope);
  CHECK_FALSE(token_loss_backward(dv, h, w, targets, bare, false).dh);
}

}  // namespace

TEMPLATE_TEST_CASE("token loss: against plain loops", "", float, double) {
  check_loss<TestType>(1, 1, 1);
  check_loss<TestType>(9, 5, 3);
  check_loss<TestType>(30, 1000, 16);  // blocks of classes
  check_loss<TestType>(500, 33, 8);    // blocks of rows
}

TEST_CASE("token loss: never holds all logits") {
  if (!memory::detail::reuse) LORU_SKIP("the sanitizer build reuses no buffer");
  constexpr Index rows = 512, classes = 20000, d = 16;
  const auto h = gaussian<float>({rows, d}, 1), w = gaussian<float>({classes, d}, 2);
  const auto targets = loru_test::labels(rows, classes);
  memory::trim();
  const auto before = memory::statistics().system_bytes;
  const auto loss = token_loss(h, w, targets, true);
  const Tensor<float> ones = add(scale(loss.values, 0.0f), scale(loss.values, 0.0f));
  const auto g = token_loss_backward(ones, h, w, targets, loss, true);
  // dw, a block of logits in each pass and its packed panels; all logits would be 40 MB
  CHECK(memory::statistics().system_bytes - before < 6'000'000);
  CHECK(g.dw.shape() == w.shape());
}

TEST_CASE("token loss: refuses targets outside the head") {
  const auto h = gaussian<float>({2, 3}), w = gaussian<float>({4, 3});
  CHECK_THROWS_WITH(token_loss(h, w, numbers({1, 4}), false),
                    "token_loss: label 4 of row 1 is outside the 4 classes");
  CHECK_THROWS_WITH(
      token_loss(h, w, numbers({1}), false),
      "token_loss: expected features (M, d), a head (V, d) and M targets, got (2, 3), (4, 3) and "
      "(1)");
  const auto two = numbers({1, 2});
  CHECK_THROWS_WITH(token_loss_backward(gaussian<float>({2, 2}), h, w, two, {}, true),
                    "token_loss_backward: expected sums of 2 rows, got ()");
}

TEST_CASE("sequence ops: dual numbers") {
  const Shape s{3, 20}, n{20};
  const auto rows = numbers({2, 0, 2, 1});
  check_dual("embedding", {s}, [&](auto v) { return embedding(v[0], rows); });
  check_dual("embedding backward", {{4, 20}},
             [&](auto v) { return embedding_backward(v[0], rows, {3, 20}); });
  check_dual("layer norm", {s, s, n, n}, [](auto v) { return layer_norm(v[0], v[1], v[2], v[3], 1e-3).y; });
  check_dual("layer norm dx", {s, s, n, n, s}, [](auto v) {
    return layer_norm_backward(v[4], v[1], layer_norm(v[0], v[1], v[2], v[3], 1e-3), v[2], {}).dx;
  });
  check_dual("layer norm dgamma", {s, s, n, n, s}, [](auto v) {
    return layer_norm_backward(v[4], v[1], layer_norm(v[0], v[1], v[2], v[3], 1e-3), v[2], {}).dgamma;
  });
  check_dual("rms norm", {s, s, n}, [](auto v) { return rms_norm(v[0], v[1], v[2], 1e-3).y; });
  check_dual("rms norm dx", {s, s, n, s}, [](auto v) {
    return rms_norm_backward(v[3], v[1], rms_norm(v[0], v[1], v[2], 1e-3), v[2], {}).dx;
  });
  check_dual("tanh", {s}, [](auto v) { return tanh(v[0]); });
  check_dual("tanh backward", {s, s}, [](auto v) { return tanh_backward(v[0], v[1]); });
  check_dual("swiglu", {s, s}, [](auto v) { return swiglu(v[0], v[1]); });
  check_dual("swiglu dgate", {s, s, s}, [](auto v) { return swiglu_backward(v[0], v[1], v[2]).gate; });
  check_dual("swiglu dup", {s, s, s}, [](auto v) { return swiglu_backward(v[0], v[1], v[2]).up; });
  check_dual("rotary", {{4, 8}}, [](auto v) {
    using T = typename decltype(v)::value_type::value_type;
    return rotary(v[0], angles<T>(9, 4), of_lengths({1, 3}), false);
  });
}

TEST_CASE("token loss: dual numbers") {
  const Shape h{4, 3}, w{7, 3};
  const auto targets = numbers({2, no_target, 6, 0});
  check_dual("values", {h, w}, [&](auto v) { return token_loss(v[0], v[1], targets, true).values; });
  check_dual("dh", {h, w, {4, 2}}, [&](auto v) {
    return token_loss_backward(v[2], v[0], v[1], targets, token_loss(v[0], v[1], targets, true), false).dh;
  });
  check_dual("dw", {h, w, {4, 2}}, [&](auto v) {
    return token_loss_backward(v[2], v[0], v[1], targets, token_loss(v[0], v[1], targets, true), true).dw;
  });
}
