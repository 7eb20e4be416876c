#pragma once
// The backward pass of a cohort's layer over one shared W: each client has its own rows of dy and x, its own
// factors and its own gradients; one launch serves all clients. Ranks may differ. A client's results have the
// bits that the one-pass form gives it alone (beyond rank 64, where dS is computed by products_down, up to
// the order of dS's sums).
#include <loru/cuda/kernels/backward_dx.cuh>
#include <loru/cuda/kernels/products_down.cuh>
#include <loru/cuda/kernels/reduce_rows.cuh>

namespace loru::cuda {

/// How a reduction over each client's rows is cut: blocks of rows, and the range of blocks that is each
/// client's.
struct ReductionCut {
  std::vector<RowBlock> blocks;
  std::vector<int> first_part, parts;  // of each client
  bool direct;                         // each client has one part
};

/// For clients with these numbers of rows and a wide matrix of `columns`, against ranks of at most `ranks`.
/// At most 64 ranks: as each client's alone with that rank.
inline ReductionCut reduction_cut(const std::vector<int>& rows, int columns, int ranks, int multiprocessors) {
  ReductionCut cut{
      row_blocks(rows, [&](int own) { return rows_of_part(own, columns, ranks, multiprocessors); }),
      {},
      {},
      true};
  cut.first_part.assign(rows.size(), 0), cut.parts.assign(rows.size(), 0);
  for (std::size_t i = cut.blocks.size(); i-- > 0;) {
    const auto k = static_cast<std::size_t>(cut.blocks[i].client);
    cut.first_part[k] = static_cast<int>(i), ++cut.parts[k];
  }
  for (const int parts : cut.parts) cut.direct = cut.direct && parts == 1;
  return cut;
}

/// A cut in device memory, with the gradients that it makes.
struct CohortReduction {
  const RowBlock* blocks;
  int count;
  const Gradient* gradients;  // one a client
  bool direct;
};

/// dy (M, m), x (M, n), W (m, n), dx (M, n); S and dS (M, rank), of which a client uses its first columns.
template <class T>
struct CohortBackward {
  Matrix<const T> dy, x, W, S;
  Cohort<T> cohort;  // with blocks of 128 rows
  int rank;          // the largest
  bool aligned;      // rows of all matrices, the clients' factors too, start on 16-byte boundaries
  Matrix<T> dx, dS;
  CohortReduction dB, dA;  // over m and n columns; dB_k (m, r_k), dA_k (r_k, n)
};

template <class Math, class T = typename Math::Element>
void reduce_rows(Matrix<const T> wide, Matrix<const T> thin, bool transposed, const CohortBackward<T>& p,
                 const CohortReduction& cut, float* workspace, cudaStream_t stream) {
  const Cohort<T> parts{p.cohort.table, p.cohort.size, cut.blocks, cut.count};
  const std::int64_t part_size = std::int64_t{wide.cols} * p.rank;
  start_reduction<Math>(
      ReduceRows<T, Cohort<T>, ManyGradients, Matrix<const T>>{
          wide, thin, transposed, parts, {cut.gradients}, {}, workspace, part_size},
      p.rank, {p.aligned, p.aligned}, stream);
  if (cut.direct) return;
  launch("sum_parts", sum_parts_kernel<ManyGradients>,
         dim3(divide_up(wide.cols * p.rank, 256), p.cohort.size), 256, 0, stream,
         ManyGradients{cut.gradients}, workspace, part_size);
}

/// workspace: the larger of dB.count * m * rank and dA.count * n * rank floats.
template <class Math, class T = typename Math::Element>
void lora_backward_cohort(const CohortBackward<T>& p, float* workspace, cudaStream_t stream) {
  const Alignment all{p.aligned, p.aligned};
  constexpr int uncut = 0;
  if (p.rank <= 64) {
    lora_backward_dx<Math>(BackwardDx<T, Cohort<T>>{p.dy, p.W, p.cohort, p.dx, p.dS}, p.rank, p.aligned,
                           stream);
  } else {
    products_down<Math, 128, 128>("lora_backward_dS", SplitDs<T, Cohort<T>>{p.dy, p.cohort, p.dS}, all, uncut,
                                  Queue{stream});
    products_down<Math, 128, 128>("lora_backward_dx_split",
                                  SplitDx<T, Cohort<T>>{p.dy, p.W, p.dS.read(), p.cohort, p.dx}, all, uncut,
                                  Queue{stream});
  }
  reduce_rows<Math>(p.dy, p.S, false, p, p.dB, workspace, stream);
  reduce_rows<Math>(p.x, p.dS.read(), true, p, p.dA, workspace, stream);
}

}  // namespace loru::cuda
