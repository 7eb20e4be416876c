// Ops on rows of sequences, but attention and the token loss, against the host's.

#include <loru/cuda/ops/activation.cuh>
#include <loru/cuda/ops/embedding.cuh>
#include <loru/cuda/ops/rotary.cuh>
#include <loru/cuda/ops/row_norm.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

/// Row numbers below `rows`, most of them several times.
Tensor<std::int32_t> row_numbers(Index count, unsigned rows) {
  std::mt19937 random(5);
  Tensor<std::int32_t> t(Shape{count});
  for (std::int32_t& x : t.span()) x = static_cast<std::int32_t>(random() % rows);
  return t;
}

/// sum, y, moments and all gradients of a layer norm, then of a root-mean-square norm.
template <class X>
std::vector<X> row_norms(const X& x, const X& residual, const X& dy, const X& dsum, const X& gamma,
                         const X& beta) {
  std::vector<X> results;
  const auto keep = [&](const auto& kept, const auto& gradients) {
    results.insert(results.end(), {kept.sum, kept.y, kept.inverse_deviation});
    if (kept.mean) results.push_back(kept.mean);
    for (const auto& d : gradients) results.insert(results.end(), {d.dx, d.dgamma, d.dbeta});
  };
  const auto layer = layer_norm(x, residual, gamma, beta, 1e-5);
  keep(layer, std::array{layer_norm_backward(dy, dsum, layer, gamma, {}),
                         layer_norm_backward(dy, X(), layer, gamma, {true, false}),
                         layer_norm_backward(dy, dsum, layer, gamma, {false, true})});
  const auto rms = rms_norm(x, residual, gamma, 1e-5);
  keep(rms, std::array{rms_norm_backward(dy, dsum, rms, gamma, {}),
                       rms_norm_backward(dy, X(), rms, gamma, {true, false}),
                       rms_norm_backward(dy, dsum, rms, gamma, {false, true})});
  return results;
}

}  // namespace

TEST_CASE("cuda sequence: rows of a table and their gradients") {
  for (const auto& [count, rows, n] :
       {std::array<Index, 3>{1, 1, 1}, {0, 4, 3}, {70, 9, 33}, {300, 5, 7}, {3, 1000, 16}}) {
    const auto table = gaussian<float>({rows, n}), dy = integers({count, n}, 2);
    const auto numbers = row_numbers(count, static_cast<unsigned>(rows));
    const auto got = in_all_orders([&] {
      return Results{to_host(embedding(to_device(table), to_device(numbers))),
                     to_host(embedding_backward(to_device(dy), to_device(numbers), table.shape()))};
    });
    check_exact<float>(got, {embedding(table, numbers), embedding_backward(dy, numbers, table.shape())});
  }
}

TEST_CASE("cuda sequence: a row outside the table is named as on the host") {
  const auto table = to_device(gaussian<float>({4, 3})), dy = to_device(gaussian<float>({3, 3}));
  const auto numbers = to_device(Tensor<std::int32_t>(Shape{3}, {3, -1, 4}));
  CHECK_THROWS_WITH(embedding(table, numbers),
                    "embedding: row -1 at place 1 is outside the 4 rows of the table");
  CHECK_THROWS_WITH(embedding_backward(dy, numbers, {4, 3}),
                    "embedding_backward: row -1 at place 1 is outside the 4 rows of the table");
  CHECK_THROWS_WITH(embedding_backward(dy, numbers, {4, 2}),
                    "embedding_backward: expected dy of shape (3, 2), got (3, 3)");
}

TEST_CASE("cuda sequence: norms of rows, with and without a residual") {
  for (const auto& [rows, n] :
       {std::pair<Index, Index>{1, 1}, {0, 8}, {3, 5}, {17, 33}, {300, 64}, {9, 700}}) {
    const Shape s{rows, n};
    const auto x = gaussian<float>(s, 1), residual = gaussian<float>(s, 2), dy = gaussian<float>(s, 3),
               dsum = gaussian<float>(s, 4), gamma = gaussian<float>({n}, 5), beta = gaussian<float>({n}, 6);
    for (const bool with_residual : {false, true}) {
      INFO("shape " << s << (with_residual ? ", a residual" : ""));
      const auto r = with_residual ? residual : Tensor<float>();
      const auto got = in_all_orders([&] {
        Results results;
        for (const auto& y : row_norms(to_device(x), to_device(r), to_device(dy), to_device(dsum),
                                       to_device(gamma), to_device(beta)))
          results.push_back(to_host(y));
        return results;
      });
      // A row of one element has the gradient of a constant: differences of equal numbers.
      if (n > 1) check_close<float>(got, row_norms(x, r, dy, dsum, gamma, beta), 5e-6);
    }
  }
  const auto x = to_device(gaussian<float>({2, 3})), gamma = to_device(gaussian<float>({4}));
  CHECK_THROWS_WITH(rms_norm(x, {}, gamma, 1e-5),
                    "rms_norm: expected rows (M, n) and n factors, got (2, 3) and (4)");
}

TEST_CASE("cuda sequence: a gradient of rows overwrites dy only if nothing else shares it") {
  const auto x = to_device(gaussian<float>({3, 8})), gamma = to_device(gaussian<float>({8}, 2));
  const auto kept = rms_norm(x, {}, gamma, 1e-5);
  const auto shared = to_device(gaussian<float>({3, 8}, 3));
  const auto before = to_host(shared);
  const auto dx = rms_norm_backward(shared, {}, kept, gamma, {true, false}).dx;
  CHECK(same_bits(to_host(shared), before));
  Array<float> own = to_device(before);
  const float* const place = std::as_const(own).data();
  const auto in_place = rms_norm_backward(std::move(own), {}, kept, gamma, {true, false}).dx;
  CHECK(in_place.data() == place);
  CHECK(same_bits(to_host(in_place), to_host(dx)));
}

TEST_CASE("cuda sequence: smooth activations and their gradients") {
  for (const Shape& s : {Shape{1}, Shape{7, 3}, Shape{70, 41}}) {
    const auto x = scale(gaussian<float>(s, 1), 3.0f), up = gaussian<float>(s, 2), dy = gaussian<float>(s, 3);
    const auto run = [](const auto& a, const auto& b, const auto& d) {
      const auto y = tanh(a);
      const auto g = swiglu_backward(a, b, d);
      return std::vector{y, tanh_backward(y, d), swiglu(a, b), g.gate, g.up};
    };
    const auto got = in_all_orders([&] {
      Results results;
      for (const auto& y : run(to_device(x), to_device(up), to_device(dy))) results.push_back(to_host(y));
      return results;
    });
    check_close<float>(got, run(x, up, dy), 2e-6);
  }
  const auto a = to_device(gaussian<float>({2, 3})), b = to_device(gaussian<float>({3, 2}));
  CHECK_THROWS_WITH(swiglu(a, b), "swiglu: expected equal shapes, got (2, 3) and (3, 2)");
}

TEST_CASE("cuda sequence: rotary positions, there and back") {
  Sequences s;
  s.starts = {0, 1, 1, 66, 70};
  s.offset = 2;
  const auto x = gaussian<float>({70, 24}), table = gaussian<float>({67, 8}, 2);
  const auto got = in_all_orders([&] {
    return Results{to_host(rotary(to_device(x), to_device(table), s, false)),
                   to_host(rotary(to_device(x), to_device(table), s, true))};
  });
  check_close<float>(got, {rotary(x, table, s, false), rotary(x, table, s, true)}, 1e-6);
  CHECK_THROWS_WITH(rotary(to_device(x), to_device(gaussian<float>({66, 8})), s, false),
                    "rotary: expected at most 66 positions, got 67");
}
