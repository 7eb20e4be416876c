#pragma once
// The pieces of a blocked attention: products of tiles, and heads copied into the memory that they want.

#include <limits>

#include <loru/cpu/gemm/gemm.hpp>
#include <loru/cpu/gemm/transpose.hpp>
#include <loru/cpu/packet_math.hpp>
#include <loru/ops/sequence.hpp>

namespace loru::inline LORU_ISA::cpu {

/// Keys of a block, and queries of a block: at most as many, a multiple of the height of a tile.
inline constexpr Index key_block = 64;
inline constexpr Index query_block = key_block / tile_rows<full_panel> * tile_rows<full_panel>;

/// c (rows, columns) = a·b, or c += a·b, over `depth`; columns are a multiple of lanes.
template <class T, bool Accumulate>
void tile_product(Index rows, Index depth, Strided<const T> a, View<const T> b, Index columns, View<T> c) {
  const auto panels = [&]<int V>() {
    constexpr Index width = V * lanes<T>;
    for (; columns >= width; columns -= width, b.data += width, c.data += width)
      micro_rows<T, V, Accumulate>(rows, {depth}, a, b.data, b.stride, c.data, c.stride);
  };
  panels.template operator()<full_panel>();
  if constexpr (full_panel > 2) panels.template operator()<2>();
  panels.template operator()<1>();
}

/// to[i, j] = factor · from[i, j] for j < width, and zero up to `columns`.
template <class T>
void copy_head(Index rows, Index width, View<const T> from, T factor, Index columns, T* to) {
  for (Index i = 0; i < rows; ++i, to += columns) {
    const T* row = from.data + i * from.stride;
    for (Index j = 0; j < width; ++j) to[j] = factor * row[j];
    std::fill(to + width, to + columns, T(0));
  }
}

/// The head's rows transposed, block by block of key_block rows: element (j, i) of block b is at
/// (b · width + j) · key_block + i. Missing rows are zero up to a full packet.
template <class T>
Tensor<T> transposed_head(Index rows, Index width, View<const T> from) {
  const Index blocks = (rows + key_block - 1) / key_block;
  Tensor<T> to(Shape{blocks * width * key_block});
  for (Index first = 0; first < rows; first += lanes<T>) {
    const Index block = first / key_block;
    transpose_rows(std::min(lanes<T>, rows - first), width, from.data + first * from.stride, from.stride,
                   to.data() + block * width * key_block + first % key_block, key_block);
  }
  return to;
}

/// Where one head of one sequence lies in q, k, v and their like.
struct HeadPlace {
  Index queries, keys;           // rows of the sequence
  Index first_query, first_key;  // its first rows
  Index heads, groups, width;    // of the whole attention
  bool causal;

  HeadPlace(const detail::AttentionShape& s, const Sequences& q, const Sequences& k, bool is_causal, Index i)
      : queries{q.length(i)},
        keys{k.length(i)},
        first_query{q.first(i)},
        first_key{k.first(i)},
        heads{s.heads},
        groups{s.groups},
        width{s.width},
        causal{is_causal} {}

  template <class T>
  View<T> query_head(T* x, Index head) const {
    return {x + (first_query * heads + head) * width, heads * width};
  }
  template <class T>
  View<T> key_head(T* x, Index group) const {
    return {x + (first_key * groups + group) * width, groups * width};
  }
  /// Keys that a query of the sequence sees: the first so many.
  Index visible(Index query) const { return causal ? keys - (queries - 1 - query) : keys; }
};

/// Scores beyond the keys [first, first + count) that each of `rows` queries from `query` sees become −∞.
template <class T>
void hide(const HeadPlace& place, Index query, Index rows, Index first, Index count, T* scores) {
  const Index columns = padded<T>(count);
  for (Index i = 0; i < rows; ++i) {
    const Index seen = std::clamp<Index>(place.visible(query + i) - first, 0, count);
    std::fill(scores + i * key_block + seen, scores + i * key_block + columns,
              -std::numeric_limits<T>::infinity());
  }
}

}  // namespace loru::inline LORU_ISA::cpu
