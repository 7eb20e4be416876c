#pragma once
// The whole forward pass of y = x Wᵀ + s (x Aᵀ) Bᵀ + bias, with S = s x Aᵀ kept for the backward pass, in one
// of two forms:
//   one pass (r <= 64)  one kernel; S is computed again for each 128 columns of y
//   split               S by one kernel, then y by one with two products in its K loop, which reads S back
#include <loru/cuda/device/rates.hpp>
#include <loru/cuda/kernels/forward_one_pass.cuh>
#include <loru/cuda/kernels/products_across.cuh>

namespace loru::cuda {

enum class ForwardForm { one_pass, split };

/// Chooses the form of a pass with x (M, n), y (M, m) and elements of `size` bytes. One pass has no pieces:
/// where its 128 x 128 blocks leave multiprocessors without work, and its loop over n is long, it is split.
/// So it is where rows of B, of r elements, are not aligned: only the split form takes x and W apart from it.
/// Otherwise the form with less work, apart from the work that both share:
///   one pass: S again for all columns of blocks but one, 2 n R (m / 128 - 1) operations a row, R = 8, 16, 32
///             or 64, and for m <= 64 the columns of y by which its tile is wider than the other's;
///   split: x read again for S, and S written and read, (n + 2 r) `size` bytes a row.
/// M cancels, and so does n but for S itself. With r << n the one pass is chosen for 64 < m < 128 (1 + size
/// flops / (2 R bandwidth)).
inline ForwardForm forward_form(int M, int m, int n, int r, int size, const DeviceRates& rates,
                                int multiprocessors) {
  if (r > 64 || r * size % 16 != 0 ||
      !fills(divide_up(M, 128) * divide_up(m, 128), divide_up(n * size, 64), multiprocessors))
    return ForwardForm::split;
  const int ranks = r <= 8 ? 8 : r <= 16 ? 16 : r <= 32 ? 32 : 64;
  const double beyond = ranks * (divide_up(m, 128) - 1) + (m <= 64 ? 64 : 0);
  const double again = 2.0 * n * beyond / rates.flops;
  const double split = static_cast<double>(size) * (n + 2.0 * r) / rates.bandwidth;
  return again <= split ? ForwardForm::one_pass : ForwardForm::split;
}

/// Stages of the K loops: four where a multiprocessor has the shared memory for two blocks of four (sm_90 and
/// larger sm_80-likes have 227 KB, sm_80 itself 163 KB), else three.
inline int forward_stages(std::size_t shared_bytes_per_multiprocessor) {
  return shared_bytes_per_multiprocessor >= std::size_t{200} << 10 ? 4 : 3;
}

/// S = s x Aᵀ, a client's own A and s.
template <class T, class Clients, class X = Matrix<const T>>
struct SplitS {
  X x;
  Clients clients;
  Matrix<T> S;

  static constexpr int products = 1;
  __device__ AcrossOfBlock<T, X> of(const RowBlock& block) const {
    const Client<T>& client = clients.client(block.client);
    Matrix<T> own = rows_before(S, block.last);
    own.cols = client.A.rows;
    return {rows_before(x, block.last), client.A, {}, {}, client.s, nullptr, false, own};
  }
  int columns() const { return S.cols; }
};

/// y = x Wᵀ + S Bᵀ + bias, a client's own B.
template <class T, class Clients, class X = Matrix<const T>>
struct SplitY {
  Forward<T, Clients, X> p;
  Clients clients;

  static constexpr int products = 2;
  __device__ AcrossOfBlock<T, X> of(const RowBlock& block) const {
    const Client<T>& client = clients.client(block.client);
    Matrix<const T> S = rows_before(p.S, block.last).read();
    S.cols = client.B.cols;
    return {rows_before(p.x, block.last), p.W, S, client.B, 1.0f, p.bias, p.relu,
            rows_before(p.y, block.last)};
  }
  int columns() const { return p.y.cols; }
};

/// start(integral_constant R) with the least R of 8 (tensor cores only), 16, 32, 64 that holds the rank.
template <class Math, class Start>
void with_forward_bucket(int rank, const Start& start) {
  if constexpr (Math::tensor_cores) {
    if (rank <= 8) return start(std::integral_constant<int, 8>{});
  }
  with_rank_bucket(rank, start);
}

/// One pass; p.clients cuts rows into blocks of at most 128, rank is the largest of theirs, at most 64.
/// aligned: rows of x, W, A and B start on 16-byte boundaries.
template <class Math, class Clients, class X>
void lora_forward_one_pass(const Forward<typename Math::Element, Clients, X>& p, int rank, bool aligned,
                           const Queue& queue) {
  const dim3 grid(p.clients.blocks(), divide_up(p.W.rows, 128));
  with_forward_bucket<Math>(rank, [&]<int R>(std::integral_constant<int, R>) {
    with_stages<false>({aligned, aligned}, queue.stages,
                       [&]<bool Aligned, int Stages>(std::bool_constant<Aligned>, auto,
                                                     std::integral_constant<int, Stages>) {
                         launch("lora_forward", lora_forward_kernel<Math, R, Aligned, Stages, Clients, X>,
                                grid, 256, ForwardTile<Math, R, Stages>::shared_bytes, queue.stream, p);
                       });
  });
}

/// S of the split form: blocks of 64 rows, and of 128 where S has more than 64 columns. aligned: rows of x
/// and A.
template <class Math, class T, class X>
void lora_forward_S(const X& x, const Client<T>& client, Matrix<T> S, bool aligned, const Queue& queue) {
  using Products = SplitS<T, OneClient<T>, X>;
  const int steps = tiles_of<Math>(x.cols);
  const Alignment both{aligned, aligned};
  if (S.cols <= 64)
    with_rank_bucket(S.cols, [&]<int R>(std::integral_constant<int, R>) {
      products_across<Math, 64, R>("lora_forward_S", Products{x, {client, x.rows, 64}, S}, both, steps,
                                   queue);
    });
  else
    products_across<Math, 128, 128>("lora_forward_S", Products{x, {client, x.rows, 128}, S}, both, steps,
                                    queue);
}

/// y = x Wᵀ + S Bᵀ + bias, S given; no factors: y = x Wᵀ + bias. aligned: rows of x and W; of S and B.
template <class Math, class T, class X>
void lora_forward_y(const Forward<T, OneClient<T>, X>& p, Alignment aligned, const Queue& queue) {
  const int steps = tiles_of<Math>(p.x.cols) + tiles_of<Math>(p.clients.one.B.cols);
  with_product_tile(p.x.rows, p.W.rows, [&]<int Rows, int Cols>(TileOf<Rows, Cols>) {
    const OneClient<T> rows{p.clients.one, p.x.rows, Rows};
    products_across<Math, Rows, Cols>("lora_forward_y", SplitY<T, OneClient<T>, X>{p, rows}, aligned, steps,
                                      queue);
  });
}

/// The forward pass of one client in the form asked for.  x (M, n), W (m, n), client.A (r, n), client.B (m,
/// r), bias (m) or null, y (M, m), S (M, r); any M, m, n, r >= 1, any alignment. x is a matrix or a
/// convolution's windows.
template <class Math, class X, class T = typename Math::Element>
void lora_forward(ForwardForm form, const X& x, Matrix<const T> W, const Client<T>& client, const T* bias,
                  bool relu, Matrix<T> y, Matrix<T> S, const Queue& queue) {
  const bool aligned = rows_aligned(x), with_A = aligned && rows_aligned(client.A);
  const Forward<T, OneClient<T>, X> p{x, W, {client, x.rows, 128}, bias, relu, y, S};
  if (form == ForwardForm::one_pass)
    return lora_forward_one_pass<Math>(p, client.A.rows, with_A && rows_aligned(W, client.B), queue);
  lora_forward_S<Math>(x, client, S, with_A, queue);
  lora_forward_y<Math>(p, {aligned && rows_aligned(W), rows_aligned(S, client.B)}, queue);
}

}  // namespace loru::cuda
