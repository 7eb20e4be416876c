#pragma once
// The attention kernels against sums in double, for any way of multiplying.
#include <loru/cuda/kernels/compiled.cuh>
#include "cuda/kernels/attention_problem.hpp"
#include "support/catch.hpp"

namespace loru_test {

namespace cuda = loru::cuda;

/// Lengths of 1, 63, 64, 65 and 129, alone and packed; more keys than queries; one head of keys for two heads
/// of queries, and three for three and six; widths that fill their tile, that do not, and that are not
/// aligned.
/// On devices that give a block 227 and 99 KB of shared memory; with 163 KB tiles are those of 227.
template <class Math>
void check_attention() {
  const std::vector<AttentionCase> cases{{{1}, {1}, 1, 1, 64, false},
                                         {{63, 1, 64}, {63, 1, 64}, 2, 1, 64, true},
                                         {{65, 129}, {65, 129}, 3, 3, 40, true},
                                         {{65}, {65}, 6, 3, 128, false},
                                         {{3, 0, 66}, {70, 5, 66}, 2, 1, 72, true},
                                         {{2, 65}, {130, 1}, 3, 3, 16, false},
                                         {{66}, {66}, 2, 2, 7, true, 1}};
  const std::size_t block_memory = std::min<std::size_t>(GENERATE(227, 99) << 10, most_block_memory());
  CAPTURE(block_memory);
  for (const AttentionCase& c : cases) {
    INFO(c.queries.size() << " sequences, the first of " << c.queries[0] << " queries, width " << c.width);
    compare_in_every_order(
        [&](Comparison& seen) {
          using T = typename Math::Element;
          AttentionProblem<Math> p(c);
          const auto queries = p.template blocks<cuda::AttentionBlock>(false),
                     keys = p.template blocks<cuda::AttentionBlock>(true);
          const auto of = p.template operands<cuda::Attention<T>>(queries, keys);
          const bool first = loru::emulator::options.order == loru::emulator::Order::forward;
          Comparison with_sums;
          cuda::fused_attention_forward<Math>({of, p.y.data(), p.log_sum.data()}, block_memory, nullptr);
          if (first) p.compare_forward(with_sums);
          cuda::fused_attention_backward<Math>({of, p.y.data(), p.dy.data(), p.log_sum.data(), p.delta.data(),
                                                p.dq.data(), p.dk.data(), p.dv.data()},
                                               block_memory, nullptr);
          if (first) p.compare_backward(with_sums);
          INFO(with_sums.where());
          CHECK(with_sums.worst() <= 1);
          p.note(seen);
        },
        block_memory);
  }
}

}  // namespace loru_test
