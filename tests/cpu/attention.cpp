// Attention over packed sequences against a plain one written here.
#include <loru/cpu/cpu.hpp>
#include <loru/ops/backend.hpp>

#include "support/catch.hpp"
#include "support/dual.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::check_dual;
using loru_test::close;
using loru_test::gaussian;
using loru_test::same_bits;

static_assert(SequenceBackend<Cpu, float>);
static_assert(SequenceBackend<Cpu, double>);
static_assert(SequenceBackend<Cpu, Dual<float>>);
static_assert(SequenceBackend<Cpu, Dual<double>>);

namespace {

Sequences of_lengths(std::initializer_list<Index> lengths) {
  Sequences s;
  for (const Index length : lengths) s.starts.push_back(s.starts.back() + length);
  return s;
}

struct Case {
  Sequences queries, keys;
  AttentionOptions o;
  Index width;

  Shape q() const { return {queries.rows(), o.heads * width}; }
  Shape k() const { return {keys.rows(), o.groups * width}; }
};

/// The whole matrix of probabilities of each head, in double.
template <class T>
struct Plain {
  Tensor<double> y, log_sum, dq, dk, dv;

  Plain(const Case& c, const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v, const Tensor<T>& dy)
      : y(c.q()), log_sum({c.q()[0], c.o.heads}), dq(c.q()), dk(c.k()), dv(c.k()) {
    for (auto* t : {&y, &log_sum, &dq, &dk, &dv}) fill(*t, 0.0);
    for (Index s = 0; s < c.queries.count(); ++s)
      for (Index h = 0; h < c.o.heads; ++h) head(c, s, h, q, k, v, dy);
  }

 private:
  void head(const Case& c, Index s, Index h, const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
            const Tensor<T>& dy) {
    const Index w = c.width, g = h * c.o.groups / c.o.heads, n = c.queries.length(s), m = c.keys.length(s);
    const auto at_q = [&](Index i, Index j) { return ((c.queries.first(s) + i) * c.o.heads + h) * w + j; };
    const auto at_k = [&](Index i, Index j) { return ((c.keys.first(s) + i) * c.o.groups + g) * w + j; };
    const auto product = [&](const Tensor<T>& a, Index i, const Tensor<T>& b, Index key) {
      double sum = 0.0;
      for (Index j = 0; j < w; ++j)
        sum += static_cast<double>(a.data()[at_q(i, j)]) * static_cast<double>(b.data()[at_k(key, j)]);
      return sum;
    };
    for (Index i = 0; i < n; ++i) {
      const Index seen = c.o.causal ? m - n + i + 1 : m;
      std::vector<double> p;
      double most = -1e300, sum = 0.0, along = 0.0;
      for (Index key = 0; key < seen; ++key) {
        p.push_back(c.o.scale * product(q, i, k, key));
        most = std::max(most, p.back());
      }
      for (double& x : p) sum += x = std::exp(x - most);
      log_sum.data()[(c.queries.first(s) + i) * c.o.heads + h] = most + std::log(sum);
      for (Index key = 0; key < seen; ++key)
        along += p[static_cast<std::size_t>(key)] / sum * product(dy, i, v, key);
      for (Index key = 0; key < seen; ++key) {
        const double share = p[static_cast<std::size_t>(key)] / sum;
        const double ds = c.o.scale * share * (product(dy, i, v, key) - along);
        for (Index j = 0; j < w; ++j) {
          y.data()[at_q(i, j)] += share * static_cast<double>(v.data()[at_k(key, j)]);
          dv.data()[at_k(key, j)] += share * static_cast<double>(dy.data()[at_q(i, j)]);
          dq.data()[at_q(i, j)] += ds * static_cast<double>(k.data()[at_k(key, j)]);
          dk.data()[at_k(key, j)] += ds * static_cast<double>(q.data()[at_q(i, j)]);
        }
      }
    }
  }
};

template <class T>
Tensor<T> rounded(const Tensor<double>& x) {
  Tensor<T> y(x.shape());
  std::copy(x.data(), x.data() + x.size(), y.data());
  return y;
}

template <class T>
void check(const Case& c) {
  const auto q = gaussian<T>(c.q(), 1), k = gaussian<T>(c.k(), 2), v = gaussian<T>(c.k(), 3),
             dy = gaussian<T>(c.q(), 4);
  const Plain<T> plain(c, q, k, v, dy);
  const auto f = attention(q, k, v, c.queries, c.keys, c.o);
  CHECK(close(f.y, rounded<T>(plain.y)));
  CHECK(close(f.log_sum, rounded<T>(plain.log_sum)));
  const auto d = attention_backward(dy, q, k, v, f, c.queries, c.keys, c.o, {});
  CHECK(close(d.dq, rounded<T>(plain.dq)));
  CHECK(close(d.dk, rounded<T>(plain.dk)));
  CHECK(close(d.dv, rounded<T>(plain.dv)));
  const auto part = attention_backward(dy, q, k, v, f, c.queries, c.keys, c.o, {true, false, false});
  CHECK(same_bits(part.dq, d.dq));
  CHECK_FALSE(part.dk);
  CHECK_FALSE(part.dv);
}

Tensor<float> rows(const Tensor<float>& x, Index first, Index count) {
  Tensor<float> y({count, x.dim(1)});
  std::copy(x.data() + first * x.dim(1), x.data() + (first + count) * x.dim(1), y.data());
  return y;
}

}  // namespace

TEMPLATE_TEST_CASE("attention: against the whole matrix", "", float, double) {
  const bool causal = GENERATE(false, true);
  const auto [heads, groups] = GENERATE(std::pair<Index, Index>{1, 1}, std::pair<Index, Index>{6, 2});
  const Index width = GENERATE(Index{1}, Index{16}, Index{24}, Index{64}, Index{80});
  const AttentionOptions o{heads, groups, causal, 0.3};
  const Sequences ragged = of_lengths({1, 5, 0, 17, 64}), edges = of_lengths({63, 65, 129});
  check<TestType>({ragged, ragged, o, width});
  if (width == 16 || width == 80) check<TestType>({edges, edges, o, width});
  if (width == 16) check<TestType>({of_lengths({130}), of_lengths({1100}), o, width});  // far memory
  check<TestType>({of_lengths({1, 3, 65}), of_lengths({7, 70, 130}), o, width});  // more keys than queries
}

TEST_CASE("attention: a sequence has the bits in a batch that it has alone") {
  const bool causal = GENERATE(false, true);
  const Sequences all = of_lengths({3, 70, 1, 130});
  const AttentionOptions o{4, 2, causal, 0.25};
  const auto q = gaussian<float>({all.rows(), 4 * 24}, 1), k = gaussian<float>({all.rows(), 2 * 24}, 2),
             v = gaussian<float>({all.rows(), 2 * 24}, 3), dy = gaussian<float>({all.rows(), 4 * 24}, 4);
  const auto f = attention(q, k, v, all, all, o);
  const auto d = attention_backward(dy, q, k, v, f, all, all, o, {});
  for (Index s = 0; s < all.count(); ++s) {
    const Index first = all.first(s), n = all.length(s);
    const Sequences one = of_lengths({n});
    const auto a = rows(q, first, n), b = rows(k, first, n), c = rows(v, first, n);
    const auto alone = attention(a, b, c, one, one, o);
    CHECK(same_bits(alone.y, rows(f.y, first, n)));
    CHECK(same_bits(alone.log_sum, rows(f.log_sum, first, n)));
    const auto g = attention_backward(rows(dy, first, n), a, b, c, alone, one, one, o, {});
    CHECK(same_bits(g.dq, rows(d.dq, first, n)));
    CHECK(same_bits(g.dk, rows(d.dk, first, n)));
    CHECK(same_bits(g.dv, rows(d.dv, first, n)));
  }
}

TEST_CASE("attention: the same bits for any number of threads") {
  const Sequences all = of_lengths({3, 70, 1, 130});
  const AttentionOptions o{6, 2, true, 0.25};
  const auto q = gaussian<float>({all.rows(), 6 * 8}, 1), k = gaussian<float>({all.rows(), 2 * 8}, 2),
             v = gaussian<float>({all.rows(), 2 * 8}, 3);
  const auto f = attention(q, k, v, all, all, o);
  const auto d = attention_backward(q, q, k, v, f, all, all, o, {});
  WorkerPool pool(3);
  ParallelScope scope(pool);
  const auto g = attention(q, k, v, all, all, o);
  CHECK(same_bits(g.y, f.y));
  CHECK(same_bits(attention_backward(q, q, k, v, g, all, all, o, {}).dk, d.dk));
}

TEST_CASE("attention: what a query must not see has no weight") {
  const Sequences s = of_lengths({70});
  auto q = gaussian<float>({70, 8}, 1), k = gaussian<float>({70, 8}, 2), v = gaussian<float>({70, 8}, 3);
  const AttentionOptions o{1, 1, true, 1.0};
  const auto before = attention(q, k, v, s, s, o).y;
  for (Index j = 0; j < 8; ++j) k.data()[69 * 8 + j] = 1e4f, v.data()[69 * 8 + j] = 1e30f;
  const auto after = attention(q, k, v, s, s, o).y;
  CHECK(same_bits(rows(after, 0, 69), rows(before, 0, 69)));
}

TEST_CASE("attention: memory is linear in the length") {
  constexpr Index length = 4096, width = 64;
  const Sequences s = of_lengths({length});
  const auto q = gaussian<float>({length, width}, 1);
  memory::trim();
  const auto before = memory::statistics().system_bytes;
  const auto f = attention(q, q, q, s, s, {1, 1, true, 0.125});
  const auto d = attention_backward(q, q, q, q, f, s, s, {1, 1, true, 0.125}, {});
  const auto taken = memory::statistics().system_bytes - before;
  // y, three gradients and seven copies of a head; all probabilities would be 64 MiB
  CHECK(taken <= 14 * length * width * sizeof(float));
}

TEST_CASE("attention: dual numbers") {
  const Sequences s = of_lengths({1, 5, 3}), keys = of_lengths({2, 5, 9});
  const AttentionOptions o{2, 1, GENERATE(false, true), 0.5};
  const Shape q{9, 6}, k{16, 3};
  check_dual("y", {q, k, k}, [&](auto v) { return attention(v[0], v[1], v[2], s, keys, o).y; });
  check_dual("log sum", {q, k, k}, [&](auto v) { return attention(v[0], v[1], v[2], s, keys, o).log_sum; });
  const auto backward = [&](auto& v) {
    const auto f = attention(v[0], v[1], v[2], s, keys, o);
    return attention_backward(v[3], v[0], v[1], v[2], f, s, keys, o, {});
  };
  check_dual("dq", {q, k, k, q}, [&](auto v) { return backward(v).dq; });
  check_dual("dk", {q, k, k, q}, [&](auto v) { return backward(v).dk; });
  check_dual("dv", {q, k, k, q}, [&](auto v) { return backward(v).dv; });
}

TEST_CASE("attention: refuses what does not fit") {
  const auto x = gaussian<float>({4, 6}), y = gaussian<float>({4, 3});
  const Sequences s = of_lengths({1, 3});
  CHECK_THROWS_WITH(
      attention(x, x, x, s, s, {4, 4, false, 1.0}),
      "attention: queries (4, 6), keys (4, 6) and values (4, 6) do not fit 4 heads in 4 groups");
  CHECK_THROWS_WITH(attention(x, y, y, s, of_lengths({2, 2}), {2, 1, true, 1.0}),
                    "attention: sequence 1 has 3 queries and 2 keys");
  CHECK_THROWS_WITH(attention(x, y, y, s, of_lengths({4, 0}), {2, 1, false, 1.0}),
                    "attention: sequence 1 has 3 queries and 0 keys");
  CHECK_THROWS_WITH(
      attention(x, y, y, of_lengths({1, 2}), s, {2, 1, false, 1.0}),
      "attention: expected sequences from row 0 to row 4 and an offset >= 0, got 3 starts up to "
      "3 and the offset 0");
  CHECK_THROWS_WITH(attention_backward(x, x, y, y, {x, {}}, s, s, {2, 1, false, 1.0}, {}),
                    "attention_backward: expected sums of 4 rows and 2 heads, got ()");
  CHECK_THROWS_WITH(attention(x, y, y, Sequences{{0, 4, 1, 4}}, s, {2, 1, false, 1.0}),
                    "attention: sequence 1 ends at row 1 before it starts at row 4");
}
