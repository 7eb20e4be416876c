// Ops on matrices in blocks give the bits that they give on the decoded ones.
#include <loru/core/parallel.hpp>
#include <loru/cpu/cpu.hpp>

#include "support/blocks.hpp"
#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::block_types;
using loru_test::drawn_blocks;
using loru_test::gaussian;
using loru_test::same_bits;

TEST_CASE("blocks: products, across panels and for any number of threads") {
  const BlockType type = GENERATE(from_range(block_types));
  const Index rows = GENERATE(5, 384, 1000), m = GENERATE(1, 64, 70, 340);
  const Index threads = GENERATE(1, 3);
  const BlockTensor w = drawn_blocks(type, rows, 96, 1);
  const Tensor<float> whole = decoded(w);
  const auto x = gaussian<float>({m, 96}, 2), dy = gaussian<float>({m, rows}, 3);
  WorkerPool pool(threads);
  const ParallelScope scope(pool);
  CAPTURE(format_of(type).name, rows, m, threads);
  CHECK(same_bits(matmul(x, w, {.b = Op::transpose}), matmul(x, whole, {.b = Op::transpose})));
  CHECK(same_bits(matmul(dy, w, {}), matmul(dy, whole, {})));
}

TEST_CASE("blocks: products of W + s·B·A") {
  const BlockType type = GENERATE(from_range(block_types));
  const BlockTensor w = drawn_blocks(type, 500, 64, 1);
  const Tensor<float> whole = decoded(w);
  const auto x = gaussian<float>({30, 64}, 2), a = gaussian<float>({4, 64}, 3),
             b = gaussian<float>({500, 4}, 4), dy = gaussian<float>({30, 500}, 5);
  CHECK(same_bits(lowrank_compose(w, a, b, 0.5), lowrank_compose(whole, a, b, 0.5)));
  const auto y = lowrank_forward(x, w, a, b, 0.5), expected = lowrank_forward(x, whole, a, b, 0.5);
  CHECK(same_bits(y.y, expected.y));
  CHECK(same_bits(y.low, expected.low));
  const auto g = lowrank_backward(dy, x, w, a, b, y.low, 0.5, {true, true, true}),
             h = lowrank_backward(dy, x, whole, a, b, y.low, 0.5, {true, true, true});
  CHECK(same_bits(g.dx, h.dx));
  CHECK(same_bits(g.da, h.da));
  CHECK(same_bits(g.db, h.db));
}

TEST_CASE("blocks: rows of a table, and losses under a head") {
  const BlockType type = GENERATE(from_range(block_types));
  constexpr Index classes = 1000, rows = 700;  // more than two blocks of either
  const BlockTensor w = drawn_blocks(type, classes, 64, 1);
  const Tensor<float> whole = decoded(w), h = gaussian<float>({rows, 64}, 2),
                      dvalues = gaussian<float>({rows, 2}, 3);
  Tensor<std::int32_t> targets(Shape{rows});
  for (Index i = 0; i < rows; ++i) targets.data()[i] = static_cast<std::int32_t>(i * 17 % classes);
  CHECK(same_bits(embedding(w, targets), embedding(whole, targets)));
  targets.data()[5] = no_target;
  const bool slope = GENERATE(false, true);
  const auto got = token_loss(h, w, targets, slope), expected = token_loss(h, whole, targets, slope);
  CHECK(same_bits(got.values, expected.values));
  CHECK(same_bits(got.log_sum, expected.log_sum));
  if (!slope) return;
  CHECK(same_bits(got.slope, expected.slope));
  CHECK(same_bits(token_loss_backward(dvalues, h, w, targets, got, false).dh,
                  token_loss_backward(dvalues, h, whole, targets, expected, false).dh));
}

TEST_CASE("blocks: refuse what does not fit") {
  const BlockTensor w = drawn_blocks(BlockType::q4_1, 4, 32, 1);
  const auto x = gaussian<float>({3, 32}), wrong = gaussian<float>({3, 31}), a = gaussian<float>({2, 31});
  const Tensor<std::int32_t> row({1}, {4}), target({3}, {0, 1, 2});
  CHECK_THROWS_WITH(matmul(wrong, w, {.b = Op::transpose}),
                    "matmul: inner extents differ: (3, 31) · (4, 32)ᵀ");
  CHECK_THROWS_WITH(matmul(gaussian<float>({4, 3}), w, {.a = Op::transpose}),
                    "matmul: expected a matrix that is not transposed before one in blocks");
  CHECK_THROWS_AS(lowrank_forward(x, w, a, gaussian<float>({4, 2}), 1.0), ShapeError);
  CHECK_THROWS_WITH(embedding(w, row), "embedding: row 4 at place 0 is outside the 4 rows of the table");
  CHECK_THROWS_AS(token_loss(wrong, w, target, false), ShapeError);
  const auto kept = token_loss(x, w, target, true);
  CHECK_THROWS_WITH(token_loss_backward(gaussian<float>({3, 2}), x, w, target, kept, true),
                    "token_loss_backward: a head in blocks has no gradient");
}
