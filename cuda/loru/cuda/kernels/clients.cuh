#pragma once
// Which low-rank factors a block of rows uses: one client's for all rows, or in a cohort each client's for
// its own rows. Kernels take this as a policy `Clients` with block(i), the i-th block of rows, and client(k).
#include <algorithm>
#include <vector>

#include <loru/cuda/device/matrix.cuh>
#include <loru/cuda/tuning.hpp>

namespace loru::cuda {

/// A (r, n) and B (m, r) of W + s B A. Ranks may differ between the clients of a cohort.
template <class T>
struct Client {
  Matrix<const T> A, B;
  float s;
};

/// Rows [first, last) of the activations, all of one client.
struct RowBlock {
  int client, first, last;
};

template <class T>
struct OneClient {
  static constexpr bool in_pieces = true;  // sums may be cut
  Client<T> one;
  int rows, height;  // of the activations, of a block

  __host__ __device__ int blocks() const { return divide_up(rows, height); }
  __host__ __device__ RowBlock block(int i) const {
    const int last = (i + 1) * height;
    return {0, i * height, last < rows ? last : rows};
  }
  __host__ __device__ const Client<T>& client(int) const { return one; }
  __host__ __device__ int clients() const { return 1; }
};

/// The activations of all clients stand under one another; the tables are in device memory.
template <class T>
struct Cohort {
  static constexpr bool in_pieces = false;
  const Client<T>* table;
  int size;
  const RowBlock* list;
  int count;

  __host__ __device__ int blocks() const { return count; }
  __device__ const RowBlock& block(int i) const { return list[i]; }
  __device__ const Client<T>& client(int k) const { return table[k]; }
  __host__ __device__ int clients() const { return size; }
};

/// Blocks of at most `height(rows)` rows for clients with the given numbers of rows; no block holds rows of
/// two clients.
template <class Height>
std::vector<RowBlock> row_blocks(const std::vector<int>& rows, Height height) {
  std::vector<RowBlock> blocks;
  int first = 0;
  for (int k = 0; k < static_cast<int>(rows.size()); ++k) {
    const int last = first + rows[k];
    for (; first < last; first += height(rows[k]))
      blocks.push_back({k, first, std::min(last, first + height(rows[k]))});
    first = last;
  }
  return blocks;
}

/// start(std::integral_constant<int, R>) with R the least of 16, 32 and 64 that holds the rank; 64 for larger
/// ones.
template <class Start>
void with_rank_bucket(int rank, const Start& start) {
  if (rank <= 16)
    start(std::integral_constant<int, 16>{});
  else if (rank <= 32)
    start(std::integral_constant<int, 32>{});
  else
    start(std::integral_constant<int, 64>{});
}

/// Whether a kernel takes the alignment of its second product apart from the first one's; a cohort's operands
/// are aligned or not as a whole.
template <class Products>
inline constexpr bool aligned_apart = Products::products == 2 && decltype(Products::clients)::in_pieces;

/// Tiles of the K loop of a product with k columns.
template <class Math>
int tiles_of(int k) {
  return divide_up(k, 64 / static_cast<int>(sizeof(typename Math::Element)));
}

template <int Rows, int Cols>
struct TileOf {};

/// start(TileOf<Rows, Cols>) with the tile of a product (rows, cols).
template <class Start>
void with_product_tile(int rows, int cols, const Start& start) {
  const ProductTile tile = product_tile(rows, cols);
  if (tile.rows == 128)
    start(TileOf<128, 128>{});
  else if (tile.rows == 64)
    start(TileOf<64, 64>{});
  else
    start(TileOf<32, 128>{});
}

/// The matrix without its rows from `last` on.
template <class T>
__host__ __device__ Matrix<T> rows_before(Matrix<T> matrix, int last) {
  matrix.rows = last;
  return matrix;
}

}  // namespace loru::cuda
