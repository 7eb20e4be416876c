// The loss under a wide head, by blocks of rows and classes, against the host's in double.

#include <loru/cuda/ops/token_loss.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

Tensor<double> widened(const Tensor<float>& x) {
  Tensor<double> y(x.shape());
  std::copy(x.span().begin(), x.span().end(), y.data());
  return y;
}

/// Of every three rows one has no target.
Tensor<std::int32_t> some_targets(Index count, std::int32_t classes) {
  auto t = labels(count, classes);
  for (Index i = 0; i < count; i += 3) t.data()[i] = no_target;
  return t;
}

template <class X, class L>
std::vector<X> loss_and_gradients(const X& h, const X& w, const L& targets, const X& dvalues) {
  const auto r = token_loss(h, w, targets, true), plain = token_loss(h, w, targets, false);
  const auto g = token_loss_backward(dvalues, h, w, targets, r, true);
  return {r.values, plain.values, r.log_sum, r.slope, g.dh, g.dw};
}

}  // namespace

TEST_CASE("cuda token loss: values, hits, slopes and gradients") {
  // One block, several of classes, several of rows.
  for (const auto& [rows, classes, d] :
       {std::array<Index, 3>{1, 1, 1}, {40, 70, 5}, {7, 9001, 3}, {1600, 3, 2}, {0, 4, 3}}) {
    INFO(rows << " rows, " << classes << " classes");
    const auto h = gaussian<float>({rows, d}, 1), w = gaussian<float>({classes, d}, 2),
               dvalues = gaussian<float>({rows, 2}, 3);
    for (const auto& targets : {labels(rows, static_cast<std::int32_t>(classes)),
                                some_targets(rows, static_cast<std::int32_t>(classes))}) {
      const auto got = in_all_orders([&] {
        Results results;
        for (const auto& x :
             loss_and_gradients(to_device(h), to_device(w), to_device(targets), to_device(dvalues)))
          results.push_back(to_host(x));
        return results;
      });
      const auto expected = loss_and_gradients(widened(h), widened(w), targets, widened(dvalues));
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        INFO("result " << i);
        REQUIRE(got[i].shape() == expected[i].shape());
        double error = 0.0;
        for (Index j = 0; j < got[i].size(); ++j)
          error = std::max(error, std::abs(static_cast<double>(got[i].data()[j]) - expected[i].data()[j]));
        // Elements are of the order of 10; the gradient of the head sums over the rows.
        CHECK(error <= (i < 5 ? 1e-5 : 1e-6 * static_cast<double>(10 + rows)));
      }
    }
  }
}

TEST_CASE("cuda token loss: the first of equal largest logits counts, in other blocks of classes too") {
  const Index classes = 9000;
  Tensor<float> h(Shape{3, 1}, {1, 1, 1}), w(Shape{classes, 1});
  fill(w, 0.0f);
  w.data()[40] = w.data()[41] = w.data()[5000] = 2.0f;
  const auto targets = Tensor<std::int32_t>(Shape{3}, {40, 41, 5000});
  const auto values = to_host(token_loss(to_device(h), to_device(w), to_device(targets), false).values);
  CHECK(values.data()[1] == 1.0f);
  CHECK(values.data()[3] == 0.0f);
  CHECK(values.data()[5] == 0.0f);
}

TEST_CASE("cuda token loss: rows without targets have neither loss nor slope") {
  const auto h = to_device(gaussian<float>({4, 3})), w = to_device(gaussian<float>({5, 3}, 2)),
             dvalues = to_device(gaussian<float>({4, 2}, 3));
  const auto targets =
      to_device(Tensor<std::int32_t>(Shape{4}, {no_target, no_target, no_target, no_target}));
  const auto r = token_loss(h, w, targets, true);
  const auto g = token_loss_backward(dvalues, h, w, targets, r, true);
  for (const auto& x : {r.values, r.log_sum, r.slope, g.dh, g.dw})
    for (const float v : to_host(x).span()) CHECK(v == 0.0f);
}

TEST_CASE("cuda token loss: a target outside the classes is named as on the host") {
  const auto h = to_device(gaussian<float>({3, 2})), w = to_device(gaussian<float>({4, 2}));
  CHECK_THROWS_WITH(token_loss(h, w, to_device(Tensor<std::int32_t>(Shape{3}, {1, no_target, 4})), false),
                    "token_loss: label 4 of row 2 is outside the 4 classes");
  CHECK_THROWS_WITH(
      token_loss_backward(to_device(gaussian<float>({3, 1})), h, w, to_device(labels(3, 4)), {}, true),
      "token_loss_backward: expected (3, 2) derivatives, got (3, 1)");
}
