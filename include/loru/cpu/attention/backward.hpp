#pragma once
// Backward pass of the attention of one head of keys in one sequence.

#include <array>

#include <loru/cpu/attention/tile.hpp>

namespace loru::inline LORU_ISA::cpu {

/// Where the gradients of an attention go; null where they are not wanted.
template <class T>
struct AttentionGradientsOf {
  T *dq, *dk, *dv;
};

/// Keys beyond which a head's keys, values and their gradients are taken from far memory: each pass over them
/// then serves twice as many queries.
inline constexpr Index many_keys = 1024;

/// The heads that read one head of keys and values, in one sequence.
template <class T>
class AttentionBackward {
 public:
  /// k and v (rows, groups · width) begin at row 0 of the batch.
  AttentionBackward(const HeadPlace& place, Index group, T scale, const T* k, const T* v)
      : place_{place},
        group_{group},
        width_{place.width},
        columns_{padded<T>(place.width)},
        most_rows_{place.keys > many_keys ? 2 * query_block : query_block},
        scale_{scale},
        keys_across_{transposed_head<T>(place.keys, width_, place.key_head(k, group))},
        values_across_{transposed_head<T>(place.keys, width_, place.key_head(v, group))},
        keys_(Shape{place.keys, columns_}),
        dkeys_(Shape{place.keys, columns_}),
        dvalues_(Shape{place.keys, columns_}),
        block_(Shape{most_rows_ * (3 * columns_ + 2 * key_block)}) {
    copy_head(place.keys, width_, place.key_head(k, group), T(1), columns_, keys_.data());
    std::fill(dkeys_.data(), dkeys_.data() + dkeys_.size(), T(0));
    std::fill(dvalues_.data(), dvalues_.data() + dvalues_.size(), T(0));
    query_ = block_.data();
    dy_ = query_ + most_rows_ * columns_;
    dquery_ = dy_ + most_rows_ * columns_;
    scores_ = dquery_ + most_rows_ * columns_;
    dscores_ = scores_ + most_rows_ * key_block;
  }

  void run(const T* q, const T* dy, const T* y, const T* log_sum, AttentionGradientsOf<T> to) {
    const Index shared = place_.heads / place_.groups;
    for (Index head = group_ * shared; head < (group_ + 1) * shared; ++head)
      for (Index first = 0; first < place_.queries; first += most_rows_) {
        rows_ = std::min(most_rows_, place_.queries - first);
        load(place_.query_head(q, head), place_.query_head(dy, head), place_.query_head(y, head), first);
        const Index seen = place_.visible(first + rows_ - 1);
        const T* sums = log_sum + (place_.first_query + first) * place_.heads + head;
        for (Index key = 0; key < seen; key += key_block)
          add_keys(first, key, std::min(key_block, seen - key), sums, to);
        if (to.dq) store(dquery_, rows_, scale_, place_.query_head(to.dq, head), first);
      }
    if (to.dk) store(dkeys_.data(), place_.keys, T(1), place_.key_head(to.dk, group_), 0);
    if (to.dv) store(dvalues_.data(), place_.keys, T(1), place_.key_head(to.dv, group_), 0);
  }

 private:
  /// The block's queries, times the scale, its dy, and Σ dy ⊙ y of each row.
  void load(View<const T> q, View<const T> dy, View<const T> y, Index first) {
    copy_head(rows_, width_, {q.data + first * q.stride, q.stride}, scale_, columns_, query_);
    copy_head(rows_, width_, {dy.data + first * dy.stride, dy.stride}, T(1), columns_, dy_);
    std::fill(dquery_, dquery_ + rows_ * columns_, T(0));
    for (Index i = 0; i < rows_; ++i) {
      const T *a = dy.data + (first + i) * dy.stride, *b = y.data + (first + i) * y.stride;
      T sum = T(0);
      for (Index j = 0; j < width_; ++j) sum += a[j] * b[j];
      along_[static_cast<std::size_t>(i)] = sum;
    }
  }

  /// Adds what the keys [key, key + count) give to dq, dk and dv.
  void add_keys(Index first, Index key, Index count, const T* log_sum, const AttentionGradientsOf<T>& to) {
    const Index wide = padded<T>(count);
    const View<T> scores{scores_, key_block}, dscores{dscores_, key_block};
    tile_product<T, false>(rows_, width_, {query_, columns_, 1},
                           {keys_across_.data() + key * width_, key_block}, wide, scores);
    if (wide != count || (place_.causal && place_.visible(first) < key + count))
      hide(place_, first, rows_, key, count, scores_);
    tile_product<T, false>(rows_, width_, {dy_, columns_, 1},
                           {values_across_.data() + key * width_, key_block}, wide, dscores);
    differentiate(wide, log_sum);
    if (to.dv)
      tile_product<T, true>(count, rows_, {scores_, 1, key_block}, {dy_, columns_}, columns_,
                            {dvalues_.data() + key * columns_, columns_});
    if (to.dk)
      tile_product<T, true>(count, rows_, {dscores_, 1, key_block}, {query_, columns_}, columns_,
                            {dkeys_.data() + key * columns_, columns_});
    if (to.dq)
      tile_product<T, true>(rows_, count, {dscores_, key_block, 1}, {keys_.data() + key * columns_, columns_},
                            columns_, {dquery_, columns_});
  }

  /// p = e^(score − log sum) in place of the scores, and p ⊙ (dp − Σ dy ⊙ y) in place of dp.
  void differentiate(Index wide, const T* log_sum) {
    using P = Packet<T>;
    for (Index i = 0; i < rows_; ++i) {
      const P shift = pset1<P>(log_sum[i * place_.heads]),
              along = pset1<P>(along_[static_cast<std::size_t>(i)]);
      T *s = scores_ + i * key_block, *d = dscores_ + i * key_block;
      for (Index j = 0; j < wide; j += lanes<T>) {
        const P p = exp_or_zero<T>(psub(ploadu<P>(s + j), shift));
        pstoreu(s + j, p);
        pstoreu(d + j, pmul(p, psub(ploadu<P>(d + j), along)));
      }
    }
  }

  void store(const T* from, Index rows, T factor, View<T> to, Index first) const {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < width_; ++j)
        to.data[(first + i) * to.stride + j] = factor * from[i * columns_ + j];
  }

  HeadPlace place_;
  Index group_, width_, columns_, most_rows_, rows_ = 0;  // rows: queries of a block
  T scale_;
  Tensor<T> keys_across_, values_across_;  // transposed blocks
  Tensor<T> keys_, dkeys_, dvalues_;       // (keys, columns)
  Tensor<T> block_;
  T *query_, *dy_, *dquery_, *scores_, *dscores_;
  std::array<T, 2 * query_block> along_{};
};

}  // namespace loru::inline LORU_ISA::cpu
