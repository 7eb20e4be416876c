// The backward pass of a whole cohort in one launch a kernel: against sums in double, and client by client
// against the bits of the client alone.
#include <deque>
#include <loru/cuda/kernels/backward_cohort.cuh>

#include "cuda/kernels/backward_checks.hpp"

using namespace loru_test;

namespace {

struct CohortShape {
  std::vector<int> rows, ranks;
  int m, n, pad = 0, offset = 0;
};

/// Rows [first, first + part.rows()) of whole become part, or the other way round.
template <class T>
void copy_in(const Guarded<T>& part, Guarded<T>& whole, int first) {
  for (int i = 0; i < part.rows(); ++i)
    for (int j = 0; j < part.cols(); ++j)
      whole(first + i, j) = cuda::from_float<T>(static_cast<float>(part.value(i, j)));
}
template <class T>
void copy_out(const Guarded<T>& whole, Guarded<T>& part, int first) {
  for (int i = 0; i < part.rows(); ++i)
    for (int j = 0; j < part.cols(); ++j)
      part(i, j) = cuda::from_float<T>(static_cast<float>(whole.value(first + i, j)));
}

/// Clients, each a problem of its own over the first one's W, and their matrices under one another.
template <class Math>
struct CohortProblem {
  using T = typename Math::Element;
  std::deque<BackwardProblem<Math>> clients;
  int M, rank;
  Guarded<T> dy, x, S, dx, dS;

  CohortProblem(const CohortShape& q, Fill kind)
      : M(std::accumulate(q.rows.begin(), q.rows.end(), 0)),
        rank(*std::max_element(q.ranks.begin(), q.ranks.end())),
        dy(M, q.m, q.pad, q.offset),
        x(M, q.n, q.pad, q.offset),
        S(M, rank, q.pad, q.offset),
        dx(M, q.n, q.pad, q.offset),
        dS(M, rank, q.pad, q.offset) {
    int first = 0;
    for (std::size_t k = 0; k < q.rows.size(); ++k) {
      auto& own = clients.emplace_back(BackwardShape{q.rows[k], q.m, q.n, q.ranks[k], q.pad, q.offset}, kind);
      if (k > 0) copy_in(clients[0].W, own.W, 0);
      copy_in(own.dy, dy, first), copy_in(own.x, x, first), copy_in(own.S, S, first);
      first += q.rows[k];
    }
  }

  void run(const std::vector<int>& rows) {
    const auto blocks = cuda::row_blocks(rows, [](int) { return 128; });
    const auto cut_B = cuda::reduction_cut(rows, dy.cols(), rank, few_multiprocessors),
               cut_A = cuda::reduction_cut(rows, x.cols(), rank, few_multiprocessors);
    std::vector<cuda::Client<T>> table;
    std::vector<cuda::Gradient> dB, dA;
    bool aligned = cuda::rows_aligned(dy.read(), x.read(), clients[0].W.read(), S.read(), dS.read());
    for (std::size_t k = 0; k < clients.size(); ++k) {
      auto& own = clients[k];
      table.push_back(own.client());
      aligned = aligned && cuda::rows_aligned(own.A.read(), own.B.read());
      dB.push_back({own.dB.view(), cut_B.first_part[k], cut_B.parts[k]});
      dA.push_back({own.dA.view(), cut_A.first_part[k], cut_A.parts[k]});
    }
    const DeviceMemory clients_there(table);
    const DeviceMemory blocks_there(blocks), blocks_B(cut_B.blocks), blocks_A(cut_A.blocks);
    const DeviceMemory gradients_B(dB), gradients_A(dA);
    const DeviceMemory<float> workspace(std::vector<float>(
        static_cast<std::size_t>(rank) * std::max(cut_B.blocks.size() * static_cast<std::size_t>(dy.cols()),
                                                  cut_A.blocks.size() * static_cast<std::size_t>(x.cols())),
        NAN));
    cuda::lora_backward_cohort<Math>(
        cuda::CohortBackward<T>{
            dy.read(),
            x.read(),
            clients[0].W.read(),
            S.read(),
            {clients_there.data(), clients_there.size(), blocks_there.data(), blocks_there.size()},
            rank,
            aligned,
            dx.view(),
            dS.view(),
            {blocks_B.data(), blocks_B.size(), gradients_B.data(), cut_B.direct},
            {blocks_A.data(), blocks_A.size(), gradients_A.data(), cut_A.direct}},
        workspace.data(), nullptr);
    int first = 0;
    for (auto& own : clients) {
      copy_out(dx, own.dx, first), copy_out(dS, own.dS, first);
      first += own.dy.rows();
    }
  }
};

template <class Math>
void check_cohort(const CohortShape& q, bool bits_as_alone) {
  for (const Fill kind : all_fills)
    compare_in_every_order([&](Comparison& seen) {
      CohortProblem<Math> problem(q, kind);
      problem.run(q.rows);
      for (std::size_t k = 0; k < q.rows.size(); ++k) {
        INFO("client " << k);
        auto& own = problem.clients[k];
        own.note(seen);
        seen.intact(own.dA, own.dB), seen.intact(problem.dx, problem.dS);
        if (loru::emulator::options.order != loru::emulator::Order::forward) continue;
        Comparison sums, together, alone;
        own.compare(sums);
        CHECK(sums.worst() <= 1);
        if (!bits_as_alone || q.rows[k] == 0) continue;
        own.note(together);
        cuda::lora_backward<Math>(own.arguments(), cuda::BackwardForm::one_pass, own.workspace.data(),
                                  own.queue);
        own.note(alone);
        CHECK(together.bits() == alone.bits());
      }
    });
}

}  // namespace

TEST_CASE("backward of a cohort, bf16") {
  check_cohort<cuda::InBf16>({{140, 1, 0, 600}, {8, 1, 5, 24}, 136, 40}, true);
  check_cohort<cuda::InBf16>({{3, 65}, {20, 3}, 31, 150, 3}, true);
}

TEST_CASE("backward of a cohort, tf32") { check_cohort<cuda::InTf32>({{130, 33}, {4, 40}, 36, 132}, true); }

TEST_CASE("backward of a cohort beyond rank 64") {
  check_cohort<cuda::InBf16>({{70, 9}, {72, 8}, 40, 24}, false);
}
