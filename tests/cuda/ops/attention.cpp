// Attention of the device against the host's in double.

#include <loru/cuda/ops/attention.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

Sequences of_lengths(std::initializer_list<Index> lengths) {
  Sequences s;
  for (const Index length : lengths) s.starts.push_back(s.starts.back() + length);
  return s;
}

Tensor<double> widened(const Tensor<float>& x) {
  Tensor<double> y(x.shape());
  std::copy(x.span().begin(), x.span().end(), y.data());
  return y;
}
Tensor<float> narrowed(const Tensor<double>& x) {
  Tensor<float> y(x.shape());
  std::transform(x.span().begin(), x.span().end(), y.data(), [](double v) { return static_cast<float>(v); });
  return y;
}

struct Case {
  Sequences queries, keys;
  AttentionOptions o;
  Index width;
};

/// y, the logarithm of the sum and the gradients.
template <class X>
std::vector<X> both_passes(const Case& c, const X& q, const X& k, const X& v, const X& dy) {
  const auto f = attention(q, k, v, c.queries, c.keys, c.o);
  const auto d = attention_backward(dy, q, k, v, f, c.queries, c.keys, c.o, {});
  return {f.y, f.log_sum, d.dq, d.dk, d.dv};
}

}  // namespace

TEST_CASE("cuda attention: outputs and gradients in both precisions") {
  const OnDevice device(every_block_memory());
  const std::vector<Case> cases{{of_lengths({64, 1, 65}), of_lengths({64, 1, 65}), {3, 3, true, 0.25}, 16},
                                {of_lengths({5, 0, 2}), of_lengths({70, 3, 9}), {4, 2, true, 0.2}, 20},
                                {of_lengths({7}), of_lengths({129}), {2, 1, false, -0.3}, 10}};
  for (const Case& c : cases)
    for (const auto precision : {cuda::Precision::full, cuda::Precision::tf32}) {
      INFO("heads of " << c.width << ", precision " << static_cast<int>(precision));
      cuda::set_precision(precision);
      const Shape queries{c.queries.rows(), c.o.heads * c.width}, keys{c.keys.rows(), c.o.groups * c.width};
      const auto q = gaussian<float>(queries, 1), k = gaussian<float>(keys, 2), v = gaussian<float>(keys, 3),
                 dy = gaussian<float>(queries, 4);
      const auto got = in_all_orders([&] {
        Results results;
        for (const auto& x : both_passes(c, to_device(q), to_device(k), to_device(v), to_device(dy)))
          results.push_back(to_host(x));
        return results;
      });
      Results expected;
      for (const auto& x : both_passes(c, widened(q), widened(k), widened(v), widened(dy)))
        expected.push_back(narrowed(x));
      // Relative to the largest element; every element's own bound is in tests/cuda/kernels/attention.hpp.
      check_close<float>(got, expected, precision == cuda::Precision::full ? 2e-6 : 0x1p-9);
    }
  cuda::set_precision(cuda::Precision::full);
}

TEST_CASE("cuda attention: each gradient alone has the bits that it has with the others") {
  const Case c{of_lengths({66, 3}), of_lengths({66, 3}), {4, 2, true, 0.25}, 8};
  const auto q = to_device(gaussian<float>({69, 32}, 1)), k = to_device(gaussian<float>({69, 16}, 2)),
             v = to_device(gaussian<float>({69, 16}, 3)), dy = to_device(gaussian<float>({69, 32}, 4));
  const auto f = attention(q, k, v, c.queries, c.keys, c.o);
  const auto gradients = [&](AttentionWanted wanted) {
    const auto d = attention_backward(dy, q, k, v, f, c.queries, c.keys, c.o, wanted);
    return Results{to_host(d.dq), to_host(d.dk), to_host(d.dv)};
  };
  const auto all = gradients({});
  const Tensor<float> none;
  check_exact<float>(gradients({true, false, false}), {all[0], none, none});
  check_exact<float>(gradients({false, true, false}), {none, all[1], none});
  check_exact<float>(gradients({false, false, true}), {none, none, all[2]});
}

TEST_CASE("cuda attention: a sequence's bits do not depend on the others") {
  const AttentionOptions o{2, 1, true, 0.25};
  const auto q = gaussian<float>({70, 16}, 1), k = gaussian<float>({70, 8}, 2),
             v = gaussian<float>({70, 8}, 3);
  const auto packed = of_lengths({3, 67}), alone = of_lengths({67});
  const auto rest = [](const Tensor<float>& x) {
    Tensor<float> y(Shape{67, x.dim(1)});
    std::copy(x.data() + 3 * x.dim(1), x.data() + x.size(), y.data());
    return y;
  };
  const auto run = [&](const Tensor<float>& a, const Tensor<float>& b, const Tensor<float>& c,
                       const Sequences& s) {
    return to_host(attention(to_device(a), to_device(b), to_device(c), s, s, o).y);
  };
  CHECK(same_bits(run(rest(q), rest(k), rest(v), alone), rest(run(q, k, v, packed))));
}

TEST_CASE("cuda attention: what the device does not have is refused by name") {
  const auto s = of_lengths({2});
  const auto wide = to_device(gaussian<float>({2, 129}));
  CHECK_THROWS_WITH(attention(wide, wide, wide, s, s, {}),
                    "attention: expected heads of at most 128 on the CUDA device, got 129");
  const auto x = to_device(gaussian<double>({2, 8}));
  CHECK_THROWS_WITH(attention(x, x, x, s, s, {}), "attention: expected float on the CUDA device, got double");
  const auto y = to_device(gaussian<float>({3, 8}));
  CHECK_THROWS_WITH(
      attention(y, y, y, s, s, {}),
      "attention: expected sequences from row 0 to row 3 and an offset >= 0, got 2 starts up to 2 "
      "and the offset 0");
}
