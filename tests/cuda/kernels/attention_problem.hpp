#pragma once
// An attention's operands and results, and what the kernels may give, from sums in double. It includes no
// kernel: mutants of them use it, too.
#include <vector>

#include "cuda/support/comparison.hpp"
#include "cuda/support/guarded.hpp"

namespace loru_test {

/// Sequences of so many queries and keys.
struct AttentionCase {
  std::vector<int> queries, keys;
  int heads, groups, width;
  bool causal;
  int offset = 0;  // of the operands, off a 64-byte boundary
};

/// What an operand of a product is off by, relatively, when the kernel rounds it itself.
template <class Math>
inline constexpr double product_unit = !Math::tensor_cores                   ? 0
                                       : sizeof(typename Math::Element) == 2 ? bf16_unit
                                                                             : tf32_unit;

template <class Math>
struct AttentionProblem {
  using T = typename Math::Element;
  static constexpr double stored_unit = sizeof(T) == 2 ? bf16_unit : float_unit;
  AttentionCase of;
  int M, N;  // queries and keys in all
  float scale = 0.31F;
  Guarded<T> q, k, v, y, dy, dq, dk, dv;
  Guarded<float> log_sum, delta;

  explicit AttentionProblem(const AttentionCase& c)
      : of(c),
        M(sum(c.queries)),
        N(sum(c.keys)),
        q(M, c.heads * c.width, 0, c.offset),
        k(N, c.groups * c.width, 0, c.offset),
        v(N, c.groups * c.width, 0, c.offset),
        y(M, c.heads * c.width),
        dy(M, c.heads * c.width, 0, c.offset),
        dq(M, c.heads * c.width),
        dk(N, c.groups * c.width),
        dv(N, c.groups * c.width),
        log_sum(M, c.heads),
        delta(M, c.heads) {
    std::mt19937 random(static_cast<unsigned>(31 * M + 7 * c.heads + c.width));
    for (auto* t : {&q, &k, &v, &dy}) t->fill(Fill::random, random);
  }
  static int sum(const std::vector<int>& counts) {
    int all = 0;
    for (const int count : counts) all += count;
    return all;
  }

  /// Blocks of 64 queries, or keys, of every sequence.
  template <class Block>
  DeviceMemory<Block> blocks(bool of_keys) const {
    std::vector<Block> all;
    int query = 0, key = 0;
    for (std::size_t i = 0; i < of.queries.size(); query += of.queries[i], key += of.keys[i], ++i)
      for (int first = 0; first < (of_keys ? of.keys[i] : of.queries[i]); first += 64)
        all.push_back({query, of.queries[i], key, of.keys[i], first});
    return DeviceMemory<Block>(all);
  }
  template <class Attention, class Block>
  Attention operands(const DeviceMemory<Block>& queries, const DeviceMemory<Block>& keys) {
    return {q.data(), k.data(),       v.data(),       of.heads,    of.groups,   of.width, of.causal,
            scale,    queries.data(), queries.size(), keys.data(), keys.size(), M};
  }

  /// An element as a product takes it.
  static double taken(const Guarded<T>& t, int i, int j) {
    return Math::tensor_cores && sizeof(T) == 4 ? as_tf32(t.value(i, j)) : t.value(i, j);
  }

  /// A row of scores and what the kernel may be off by: the row of q in one head, its keys [first, last).
  struct Row {
    int query, head, group, first;
    std::vector<double> score, error;  // in powers of two
  };
  Row row(int query, int head, int first, int count) const {
    Row r{query, head, head / (of.heads / of.groups), first, {}, {}};
    const double c = static_cast<double>(scale) / std::log(2.0);
    for (int key = first; key < first + count; ++key) {
      Sum dot;
      for (int j = 0; j < of.width; ++j)
        dot.add(taken(q, query, head * of.width + j) * taken(k, key, r.group * of.width + j));
      r.score.push_back(c * dot.value);
      r.error.push_back(c * sum_bound(dot, of.width) + 4 * float_unit * std::abs(c * dot.value));
    }
    return r;
  }
  /// f(row) for every query and head, in order.
  template <class F>
  void for_each_row(const F& f) const {
    for (std::size_t s = 0, query = 0, key = 0; s < of.queries.size(); ++s) {
      const int queries = of.queries[s], keys = of.keys[s];
      for (int i = 0; i < queries; ++i)
        for (int head = 0; head < of.heads; ++head)
          f(row(static_cast<int>(query) + i, head, static_cast<int>(key),
                of.causal ? keys - (queries - 1 - i) : keys));
      query += static_cast<std::size_t>(queries), key += static_cast<std::size_t>(keys);
    }
  }

  /// y and the logarithm of the sum. An exponential is off by what its score and the maximum are, by two
  /// units in the last place, and by two more and a rounding for each block of keys after it.
  void compare_forward(Comparison& seen) const {
    for_each_row([&](const Row& r) {
      const int keys = static_cast<int>(r.score.size());
      double most = -INFINITY, least = INFINITY, off = 0;
      for (int j = 0; j < keys; ++j) {
        most = std::max(most, r.score[index(j)]), least = std::min(least, r.score[index(j)]);
        off = std::max(off, r.error[index(j)]);
      }
      const double relative = std::log(2.0) * (2 * off + 2 * float_unit * (most - least)) +
                              (4 + 6 * ((keys + 63) / 64)) * float_unit;
      double sum = 0;
      for (const double score : r.score) sum += std::exp2(score - most);
      const double log_sum_value = std::log(2.0) * most + std::log(sum);
      seen.see(log_sum.value(r.query, r.head), log_sum_value,
               std::log(2.0) * off + relative + 2 * keys * float_unit +
                   4 * float_unit * (1 + std::abs(log_sum_value)),
               "log_sum", r.query, r.head);
      for (int j = 0; j < of.width; ++j) {
        Sum value;
        for (int key = 0; key < keys; ++key)
          value.add(std::exp2(r.score[index(key)] - most) / sum *
                    taken(v, r.first + key, r.group * of.width + j));
        const double bound =
            value.size * (2 * relative + product_unit<Math> + 2 * float_unit * (2 * keys + 8)) +
            stored_unit * std::abs(value.value);
        seen.see(y.value(r.query, r.head * of.width + j), value.value, bound, "y", r.query,
                 r.head * of.width + j);
      }
    });
  }

  /// y, the logarithm of the sum and Σ dy ⊙ y as a forward pass without rounding errors would have kept them.
  void keep_forward() {
    for_each_row([&](const Row& r) {
      const int at = r.head * of.width;
      double sum = 0, along = 0;
      for (const double score : r.score) sum += std::exp2(score);
      for (int j = 0; j < of.width; ++j) {
        double value = 0;
        for (std::size_t key = 0; key < r.score.size(); ++key)
          value += std::exp2(r.score[key]) / sum *
                   v.value(r.first + static_cast<int>(key), r.group * of.width + j);
        y(r.query, at + j) = loru::cuda::from_float<T>(static_cast<float>(value));
        along += dy.value(r.query, at + j) * y.value(r.query, at + j);
      }
      log_sum(r.query, r.head) = static_cast<float>(std::log(sum));
      delta(r.query, r.head) = static_cast<float>(along);
    });
  }

  /// A number and what it may be off by.
  struct Gradient {
    double value = 0, bound = 0;
  };

  /// Gradients, those asked for, from the y and log_sum that are kept.
  void compare_backward(Comparison& seen, bool with_dq = true, bool with_dkv = true) const {
    std::vector<Gradient> dk_all(index(N * of.groups * of.width)), dv_all(dk_all.size());
    for_each_row([&](const Row& r) {
      const int at = r.head * of.width, keys = static_cast<int>(r.score.size());
      const double L = log_sum.value(r.query, r.head) / std::log(2.0);
      Sum along;
      for (int j = 0; j < of.width; ++j) along.add(dy.value(r.query, at + j) * y.value(r.query, at + j));
      std::vector<Gradient> dq_row(index(of.width));
      for (int key = 0; key < keys; ++key) {
        const int from = r.group * of.width, place = r.first + key;
        const double p = std::exp2(r.score[index(key)] - L);
        const double p_off =
            p * (std::log(2.0) * (r.error[index(key)] + 4 * float_unit * std::abs(L)) + 6 * float_unit);
        Sum dp;
        for (int j = 0; j < of.width; ++j) dp.add(taken(dy, r.query, at + j) * taken(v, place, from + j));
        const double slope = dp.value - along.value, ds = p * slope;
        const double ds_off = p_off * std::abs(slope) + 4 * float_unit * std::abs(ds) +
                              p * (sum_bound(dp, of.width) + sum_bound(along, of.width));
        const auto add = [&](Gradient& to, double left, double off, double right, int terms) {
          to.value += left * right;
          to.bound +=
              std::abs(right) * (off + std::abs(left) * (product_unit<Math> + 2 * float_unit * (terms + 4)));
        };
        const int queries = of.heads / of.groups * M;
        for (int j = 0; j < of.width; ++j) {
          const auto to = index((place * of.groups + r.group) * of.width + j);
          add(dq_row[index(j)], scale * ds, scale * ds_off, taken(k, place, from + j), keys);
          add(dk_all[to], scale * ds, scale * ds_off, taken(q, r.query, at + j), queries);
          add(dv_all[to], p, p_off, taken(dy, r.query, at + j), queries);
        }
      }
      for (int j = 0; with_dq && j < of.width; ++j) see(seen, dq, r.query, at + j, dq_row[index(j)], "dq");
    });
    for (int i = 0; with_dkv && i < N; ++i)
      for (int j = 0; j < of.groups * of.width; ++j) {
        see(seen, dk, i, j, dk_all[index(i * of.groups * of.width + j)], "dk");
        see(seen, dv, i, j, dv_all[index(i * of.groups * of.width + j)], "dv");
      }
  }

  /// Only the bits, for orders of threads other than the first; and what lies around the matrices.
  void note(Comparison& seen) const {
    const auto all = [&](const auto& t) {
      for (int i = 0; i < t.rows(); ++i)
        for (int j = 0; j < t.cols(); ++j) seen.see(t.value(i, j), t.value(i, j), 0, "", i, j);
    };
    all(y), all(log_sum), all(dq), all(dk), all(dv);
    seen.intact(q, k, v, y, dy, dq, dk, dv);
    seen.intact(log_sum, delta);
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  static void see(Comparison& seen, const Guarded<T>& t, int i, int j, const Gradient& expected,
                  const char* what) {
    seen.see(t.value(i, j), expected.value, expected.bound + stored_unit * std::abs(expected.value), what, i,
             j);
  }
};

}  // namespace loru_test
