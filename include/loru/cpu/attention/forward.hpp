#pragma once
// Forward pass of the attention of one head of keys in one sequence.

#include <array>
#include <cmath>

#include <loru/cpu/attention/tile.hpp>

namespace loru::inline LORU_ISA::cpu {

/// A block of queries of one head: their running maxima and sums, and y before it is divided by the sums.
template <class T>
struct QueryBlock {
  Index rows, columns;  // columns: the head's width in full packets
  std::array<T, query_block> most, sum;
  Tensor<T> memory;  // (3, query_block, columns or key_block)
  T *query, *y, *scores;

  QueryBlock(Index width)
      : rows{0},
        columns{padded<T>(width)},
        memory(Shape{query_block * (2 * columns + key_block)}),
        query{memory.data()},
        y{query + query_block * columns},
        scores{y + query_block * columns} {}

  void begin(Index count, Index width, View<const T> from, T scale) {
    rows = count;
    copy_head(rows, width, from, scale, columns, query);
    std::fill(y, y + rows * columns, T(0));
    most.fill(-std::numeric_limits<T>::infinity());
    sum.fill(T(0));
  }

  /// Scores become e^(score − maximum); sums and y are brought to the new maximum.
  void rescale(Index keys) {
    for (Index i = 0; i < rows; ++i) {
      const auto at = static_cast<std::size_t>(i);
      T* row = scores + i * key_block;
      const T before = most[at], now = std::max(before, largest(keys, row));
      most[at] = now;
      const T added = exponentials(keys, now, row);
      if (before == now) {
        sum[at] += added;
        continue;
      }
      const T factor = std::exp(before - now);
      sum[at] = sum[at] * factor + added;
      for (Index j = 0; j < columns; ++j) y[i * columns + j] *= factor;
    }
  }

  void finish(Index width, View<T> to, T* log_sum, Index stride) {
    for (Index i = 0; i < rows; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const T share = T(1) / sum[at];
      for (Index j = 0; j < width; ++j) to.data[i * to.stride + j] = y[i * columns + j] * share;
      log_sum[i * stride] = most[at] + std::log(sum[at]);
    }
  }
};

/// Attention of the heads that read head `group` of keys and values. x (rows, heads · width) and k, v (rows,
/// groups · width) begin at row 0 of the batch.
template <class T>
void attend(const HeadPlace& place, Index group, T scale, const T* q, const T* k, const T* v, T* y,
            T* log_sum) {
  const Index width = place.width, columns = padded<T>(width), shared = place.heads / place.groups;
  const Tensor<T> keys = transposed_head<T>(place.keys, width, place.key_head(k, group));
  Tensor<T> values(Shape{place.keys, columns});
  copy_head(place.keys, width, place.key_head(v, group), T(1), columns, values.data());
  QueryBlock<T> block(width);
  for (Index head = group * shared; head < (group + 1) * shared; ++head)
    for (Index first = 0; first < place.queries; first += query_block) {
      const Index rows = std::min(query_block, place.queries - first);
      View<const T> from = place.query_head(q, head);
      View<T> to = place.query_head(y, head);
      from.data += first * from.stride;
      to.data += first * to.stride;
      block.begin(rows, width, from, scale);
      const Index seen = place.visible(first + rows - 1);
      for (Index key = 0; key < seen; key += key_block) {
        const Index count = std::min(key_block, seen - key), wide = padded<T>(count);
        tile_product<T, false>(rows, width, {block.query, columns, 1}, {keys.data() + key * width, key_block},
                               wide, {block.scores, key_block});
        if (wide != count || (place.causal && place.visible(first) < key + count))
          hide(place, first, rows, key, count, block.scores);
        block.rescale(wide);
        tile_product<T, true>(rows, count, {block.scores, key_block, 1},
                              {values.data() + key * columns, columns}, columns, {block.y, columns});
      }
      block.finish(width, to, log_sum + (place.first_query + first) * place.heads + head, place.heads);
    }
}

}  // namespace loru::inline LORU_ISA::cpu
