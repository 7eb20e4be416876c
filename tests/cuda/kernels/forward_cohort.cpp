// The forward pass of a whole cohort in one launch a kernel: against sums in double, and client by client
// against the bits of the client alone.
#include <deque>
#include <numeric>
#include <loru/cuda/kernels/forward_cohort.cuh>

#include <loru/cuda/kernels/compiled.cuh>
#include "cuda/kernels/forward.hpp"
#include "support/catch.hpp"

using loru::cuda::ForwardForm;
using namespace loru_test;

namespace {

struct CohortShape {
  std::vector<int> rows, ranks;
  int m, n, pad = 0;
};

/// Copies part(i, j) and whole(first + i, j), one way or the other.
template <class T, class Copy>
void rows_of(Guarded<T>& part, Guarded<T>& whole, int first, const Copy& copy) {
  for (int i = 0; i < part.rows(); ++i)
    for (int j = 0; j < part.cols(); ++j) copy(part(i, j), whole(first + i, j));
}

/// Clients, each a problem of its own over the first one's W and bias, and their x, y and S under one
/// another.
template <class Math>
struct CohortProblem {
  using T = typename Math::Element;
  std::deque<ForwardProblem<Math>> clients;
  int M, rank;
  Guarded<T> x, y, S;

  CohortProblem(const CohortShape& q, Fill kind)
      : M(std::accumulate(q.rows.begin(), q.rows.end(), 0)),
        rank(*std::max_element(q.ranks.begin(), q.ranks.end())),
        x(M, q.n, q.pad),
        y(M, q.m, q.pad),
        S(M, rank, q.pad) {
    int first = 0;
    for (std::size_t k = 0; k < q.rows.size(); ++k) {
      auto& own = clients.emplace_back(ForwardShape{q.rows[k], q.m, q.n, q.ranks[k], q.pad}, kind);
      own.with_bias = own.relu = true;
      rows_of(own.W, clients[0].W, 0, [](T& mine, const T& shared) { mine = shared; });
      rows_of(own.bias, clients[0].bias, 0, [](T& mine, const T& shared) { mine = shared; });
      rows_of(own.x, x, first, [](const T& mine, T& all) { all = mine; });
      first += q.rows[k];
    }
  }

  void run(ForwardForm form, const std::vector<int>& rows) {
    const auto blocks = loru::cuda::row_blocks(rows, [](int) { return 128; });
    std::vector<loru::cuda::Client<T>> table;
    bool aligned = loru::cuda::rows_aligned(x.read(), clients[0].W.read(), S.read());
    for (auto& own : clients) {
      table.push_back({own.A.read(), own.B.read(), own.s});
      aligned = aligned && loru::cuda::rows_aligned(own.A.read(), own.B.read());
    }
    const DeviceMemory clients_there(table);
    const DeviceMemory blocks_there(blocks);
    const loru::cuda::Cohort<T> cohort{clients_there.data(), clients_there.size(), blocks_there.data(),
                                       blocks_there.size()};
    loru::cuda::lora_forward_cohort<Math>(
        form, {x.read(), clients[0].W.read(), cohort, clients[0].bias.data(), true, y.view(), S.view()}, rank,
        aligned, loru::cuda::Queue{});
    int first = 0;
    for (auto& own : clients) {
      rows_of(own.y, y, first, [](T& mine, const T& all) { mine = all; });
      rows_of(own.S, S, first, [](T& mine, const T& all) { mine = all; });
      first += own.q.M;
    }
  }
};

template <class Math>
void run_alone(ForwardProblem<Math>& p, ForwardForm form) {
  const loru::cuda::Client<typename Math::Element> client{p.A.read(), p.B.read(), p.s};
  loru::cuda::lora_forward<Math>(form, p.x.read(), p.W.read(), client, p.bias.data(), p.relu, p.y.view(),
                                 p.S.view(), loru::cuda::Queue{});
}

template <class Math>
void check_cohort(ForwardForm form, const CohortShape& q) {
  for (const Fill kind : all_fills)
    compare_in_every_order([&](Comparison& seen) {
      CohortProblem<Math> problem(q, kind);
      problem.run(form, q.rows);
      seen.intact(problem.x, problem.y, problem.S);
      for (auto& own : problem.clients) {
        Comparison together, alone;
        own.compare(together);
        own.compare(seen);
        if (loru::emulator::options.order != loru::emulator::Order::forward || own.q.M == 0) continue;
        run_alone(own, form);
        own.compare(alone);
        CHECK(together.bits() == alone.bits());
      }
    });
}

}  // namespace

TEST_CASE("forward of a cohort, bf16") {
  check_cohort<loru::cuda::InBf16>(ForwardForm::one_pass, {{140, 1, 0, 30}, {8, 1, 5, 24}, 136, 40});
  check_cohort<loru::cuda::InBf16>(ForwardForm::one_pass, {{3, 65}, {20, 3}, 31, 150, 3});
}

TEST_CASE("forward of a cohort, tf32") {
  check_cohort<loru::cuda::InTf32>(ForwardForm::one_pass, {{130, 33}, {4, 40}, 36, 132});
}

TEST_CASE("forward of a cohort split at S, float") {
  check_cohort<loru::cuda::InFloat>(ForwardForm::split, {{70, 9, 130}, {72, 8, 3}, 40, 24});
}
