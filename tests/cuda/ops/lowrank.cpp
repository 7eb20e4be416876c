// The whole device: every op of the concept, and products of factors.

#include <loru/cuda/cuda.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

static_assert(Backend<Cuda, float>);
static_assert(Backend<Cuda, double>);

TEST_CASE("cuda lowrank: factors merged into a weight or composed with it") {
  for (const auto& [m, n, r] : {std::array<Index, 3>{1, 1, 1}, {5, 7, 3}, {33, 20, 8}, {6, 4, 0}}) {
    const auto w = integers({m, n}, 1), a = integers({r, n}, 2), b = integers({m, r}, 3);
    auto merged = clone(w);
    lowrank_merge(merged, a, b, 0.5);
    auto x = to_device(w);
    lowrank_merge(x, to_device(a), to_device(b), 0.5);
    check_exact<float>({to_host(x), to_host(lowrank_compose(to_device(w), to_device(a), to_device(b), 0.5))},
                       {merged, merged});
  }
  auto w = to_device(integers({4, 5}));
  CHECK_THROWS_WITH(lowrank_merge(w, to_device(integers({2, 4})), to_device(integers({4, 2})), 1.0),
                    "lowrank_merge: factors A (2, 4) and B (4, 2) do not fit weight (4, 5)");
}

TEST_CASE("cuda lowrank: features and gradients, in every precision, with and without each gradient") {
  const OnDevice device(every_block_memory());
  for (const auto& [M, m, n, r] : {std::array<Index, 4>{1, 1, 1, 1},
                                   {5, 7, 9, 3},
                                   {70, 130, 33, 8},
                                   {9, 20, 12, 70},
                                   {3, 4, 5, 0},
                                   {0, 4, 5, 2}}) {
    INFO("M " << M << ", m " << m << ", n " << n << ", r " << r);
    const auto x = integers({M, n}, 1), w = integers({m, n}, 2), a = integers({r, n}, 3),
               b = integers({m, r}, 4), dy = integers({M, m}, 5);
    const auto f = lowrank_forward(x, w, a, b, 0.5);
    for (const auto precision : {cuda::Precision::full, cuda::Precision::tf32}) {
      cuda::set_precision(precision);
      // Whole numbers up to 2048 and their halves pass through tf32 unrounded.
      const auto low = scale(integers({M, r}, 6), 0.5f);
      const auto got = in_all_orders([&] {
        const auto g = lowrank_forward(to_device(x), to_device(w), to_device(a), to_device(b), 0.5);
        std::vector<Tensor<float>> results{to_host(g.low), to_host(g.y)};
        for (const LowrankWanted wanted :
             {LowrankWanted{}, {true, false, false}, {false, true, false}, {false, false, true}}) {
          const auto d = lowrank_backward(to_device(dy), to_device(x), to_device(w), to_device(a),
                                          to_device(b), to_device(low), 0.5, wanted);
          for (const auto& y : {d.dx, d.da, d.db}) results.push_back(to_host(y));
        }
        return results;
      });
      std::vector<Tensor<float>> expected{f.low, f.y};
      for (const LowrankWanted wanted :
           {LowrankWanted{}, {true, false, false}, {false, true, false}, {false, false, true}}) {
        const auto d = lowrank_backward(dy, x, w, a, b, low, 0.5, wanted);
        for (const auto& y : {d.dx, d.da, d.db}) expected.push_back(y);
      }
      check_close(got, expected, 0.0);
    }
    cuda::set_precision(cuda::Precision::full);
  }
  const auto x = to_device(integers({2, 3})), w = to_device(integers({4, 5}));
  CHECK_THROWS_WITH(lowrank_forward(x, w, w, w, 1.0), StartsWith("lowrank_forward: "));
}

TEST_CASE("cuda lowrank: a convolution's weight with factors in memory order") {
  const auto w = integers({6, 3, 3, 2}, 1, Layout::channels_last),
             a = integers({2, 3, 3, 2}, 2, Layout::channels_last);
  const auto b = integers({6, 2, 1, 1}, 3);
  check_exact<float>({to_host(lowrank_compose(to_device(w), to_device(a), to_device(b), 2.0))},
                     {lowrank_compose(w, a, b, 2.0)});
}
