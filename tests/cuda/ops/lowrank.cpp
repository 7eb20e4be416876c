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

TEST_CASE("cuda lowrank: a convolution's weight with factors in memory order") {
  const auto w = integers({6, 3, 3, 2}, 1, Layout::channels_last),
             a = integers({2, 3, 3, 2}, 2, Layout::channels_last);
  const auto b = integers({6, 2, 1, 1}, 3);
  check_exact<float>({to_host(lowrank_compose(to_device(w), to_device(a), to_device(b), 2.0))},
                     {lowrank_compose(w, a, b, 2.0)});
}
