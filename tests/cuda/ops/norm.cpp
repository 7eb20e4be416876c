// Pooling and normalisation of the device against the host's.

#include <loru/cuda/ops/elementwise.cuh>
#include <loru/cuda/ops/norm.cuh>
#include <loru/cuda/ops/pool.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

/// Odd channel counts, one pixel, one image, more than 32 channels, more rows than one piece of 256.
const std::vector<Shape> shapes{{2, 1, 5, 3}, {1, 6, 4, 4}, {3, 33, 1, 1}, {5, 4, 9, 8}, {1, 1, 1, 1}};

Results fetch(const std::vector<Array<float>>& xs) {
  Results results;
  for (const auto& x : xs) results.push_back(to_host(x));
  return results;
}

/// max|a − b| / max(1, max|b|): where a group is one element, gradients are differences of equal numbers.
double apart(const Tensor<float>& got_any, const Tensor<float>& expected_any) {
  if (got_any.shape() != expected_any.shape()) return INFINITY;
  const auto got = to_layout(got_any, Layout::row_major),
             expected = to_layout(expected_any, Layout::row_major);
  double error = 0.0, scale = 1.0;
  for (Index i = 0; i < got.size(); ++i) {
    const double a = static_cast<double>(got.data()[i]), b = static_cast<double>(expected.data()[i]);
    if (!(std::abs(a - b) <= error)) error = std::isfinite(a) ? std::abs(a - b) : INFINITY;
    scale = std::max(scale, std::abs(b));
  }
  return error / scale;
}

/// Every tensor of the norm ops, forward and backward; no groups is batch norm.
template <class X>
std::vector<X> norms(const X& x, const X& residual, const X& dy, const X& gamma, const X& beta, Index groups,
                     bool fixed) {
  const auto m = groups == 0 ? batch_moments(x, 1e-3) : group_moments(x, groups, 1e-3);
  const X none;
  std::vector<X> results{m.mean, m.variance, m.inverse_deviation};
  const auto keep = [&](const auto& g) {
    results.insert(results.end(), {g.dx, g.dgamma, g.dbeta});
    if (g.residual) results.push_back(g.residual);
  };
  const X y = normalise(x, m, gamma, beta, {true, residual});
  results.insert(results.end(),
                 {y, normalise(x, m, gamma, beta, {}), normalise(x, m, gamma, beta, {true, none}),
                  normalise(x, m, gamma, beta, {false, residual})});
  keep(normalise_backward(dy, none, x, m, gamma, beta, Gate::open, fixed));
  keep(normalise_backward(dy, none, x, m, gamma, beta, Gate::input, fixed));
  keep(normalise_backward(dy, y, x, m, gamma, beta, Gate::output, fixed));
  return results;
}

}  // namespace

TEST_CASE("cuda norm: batch and group norm, their epilogues and their gradients") {
  for (const Shape& s : shapes)
    for (const Layout layout : {Layout::row_major, Layout::channels_last})
      for (const Index groups : {Index{0}, Index{1}, s[1], s[1] % 3 == 0 ? s[1] / 3 : 1})
        for (const bool fixed : {false, true}) {
          if (fixed && groups > 0) continue;
          INFO("shape " << s << ", " << groups << " groups, fixed " << fixed);
          const auto x = gaussian<float>(s, 1, layout), r = gaussian<float>(s, 2, layout),
                     dy = gaussian<float>(s, 3, layout), gamma = gaussian<float>({s[1]}, 4),
                     beta = gaussian<float>({s[1]}, 5);
          const auto got = in_all_orders([&] {
            return fetch(norms(to_device(x), to_device(r), to_device(dy), to_device(gamma), to_device(beta),
                               groups, fixed));
          });
          const auto expected = norms(x, r, dy, gamma, beta, groups, fixed);
          REQUIRE(got.size() == expected.size());
          for (std::size_t i = 0; i < got.size(); ++i) {
            INFO("result " << i);
            CHECK(apart(got[i], expected[i]) <= 2e-5);
          }
        }
}

TEST_CASE("cuda norm: a batch normalised in one op is the host's, and running moments move as on the host") {
  for (const Shape& s : {Shape{1, 1, 1, 1}, Shape{3, 33, 1, 1}, Shape{5, 4, 9, 8}, Shape{7, 3, 11, 13}})
    for (const bool relu : {false, true})
      for (const bool added : {false, true}) {
        INFO("shape " << s << ", relu " << relu << ", residual " << added);
        const auto x = gaussian<float>(s, 1, Layout::channels_last),
                   r = added ? gaussian<float>(s, 2) : Tensor<float>(), mean = gaussian<float>({s[1]}, 3),
                   variance = multiply(mean, mean), gamma = gaussian<float>({s[1]}, 4);
        const auto got = in_all_orders([&] {
          auto running = to_device(mean), spread = to_device(variance);
          const auto kept = running;  // another handle: it stays as it is
          const auto all = batch_normalise(to_device(x), to_device(gamma), to_device(mean), 1e-3, running,
                                           spread, 0.1, {relu, to_device(r)});
          CHECK(same_bits(to_host(kept), mean));
          return fetch({all.y, all.moments.mean, all.moments.variance, all.moments.inverse_deviation, running,
                        spread});
        });
        const auto m = batch_moments(x, 1e-3);
        const auto blend = [](const auto& old, const auto& moment, double share) {
          auto next = scale(old, static_cast<float>(1.0 - 0.1));
          add_scaled(next, static_cast<float>(share), moment);
          return next;
        };
        const Results expected{normalise(x, m, gamma, mean, {relu, to_layout(r, Layout::channels_last)}),
                               m.mean,
                               m.variance,
                               m.inverse_deviation,
                               blend(mean, m.mean, 0.1),
                               blend(variance, m.variance, 0.1 * unbiased_factor(x.size() / s[1]))};
        for (std::size_t i = 0; i < got.size(); ++i) {
          INFO("result " << i);
          CHECK(apart(got[i], expected[i]) <= 2e-5);
        }
        // From the device's own moments, by its other ops: to the bit.
        const double unbiased = 0.1 * unbiased_factor(x.size() / s[1]);
        check_exact<float>({got[4], got[5]},
                           {to_host(blend(to_device(mean), to_device(got[1]), 0.1)),
                            to_host(blend(to_device(variance), to_device(got[2]), unbiased))});
      }
  const auto x = to_device(gaussian<float>({2, 6, 3, 3})), five = to_device(gaussian<float>({5}));
  const auto six = to_device(gaussian<float>({6}));
  Array<float> none;
  CHECK(batch_normalise(x, six, six, 1e-3, none, none, 0.1, {}).y);
  CHECK_THROWS_WITH(batch_normalise(x, five, six, 1e-3, none, none, 0.1, {}),
                    "batch_norm: expected (6) channels of x, got (5) of γ");
}

TEST_CASE("cuda norm: batch normalisation takes two launches each way, one where rows are few") {
  if (!emulator::present) LORU_SKIP("launches are counted on the emulator");
  for (const auto& [rows, most] : {std::pair<Index, std::int64_t>{512, 1}, {513, 2}, {32 * 256, 2}}) {
    const auto x = to_device(gaussian<float>({1, 3, rows, 1}, 1, Layout::channels_last)),
               gamma = to_device(gaussian<float>({3}, 2));
    const auto launches = [&] { return emulator::statistics.launches.load(); };
    auto mean = to_device(gaussian<float>({3}, 3)), variance = to_device(gaussian<float>({3}, 4));
    const auto start = launches();
    const auto all = batch_normalise(x, gamma, gamma, 1e-3, mean, variance, 0.1, {.relu = true});
    const auto middle = launches();
    CHECK(middle - start == most);
    normalise_backward(all.y, {}, x, all.moments, gamma, gamma, Gate::input, false);
    CHECK(launches() - middle == most);
  }
}

TEST_CASE("cuda norm: a large mean does not cancel the variance away") {
  auto x = gaussian<float>({4, 3, 16, 17});
  for (float& v : x.span()) v += 1000.0f;
  const auto m = batch_moments(to_device(x), 1e-5);
  const auto exact = batch_moments(x, 1e-5);
  check_close<float>({to_host(m.mean), to_host(m.variance)}, {exact.mean, exact.variance}, 1e-4);
}

TEST_CASE("cuda norm: shapes that do not fit are refused in the host's words") {
  const auto x = to_device(gaussian<float>({2, 6, 3, 3})), gamma = to_device(gaussian<float>({5}));
  CHECK_THROWS_WITH(group_moments(x, 4, 1e-5), "group_norm: 4 groups do not divide 6 channels");
  const auto m = batch_moments(x, 1e-5);
  CHECK_THROWS_WITH(normalise(x, m, gamma, gamma, {}),
                    "normalise: expected rank 4 and (5) channels, got (2, 6, 3, 3)");
  CHECK_THROWS_WITH(batch_moments(to_device(gaussian<float>({0, 6, 3, 3})), 1e-5),
                    "batch_norm: expected at least one pixel, got (0, 6, 3, 3)");
}

TEST_CASE("cuda pool: max pooling with overlaps, padding and ties") {
  for (const Shape& s : {Shape{2, 3, 7, 6}, Shape{1, 1, 4, 4}, Shape{3, 5, 9, 9}})
    for (const PoolOptions& o :
         {PoolOptions{}, PoolOptions{3, 2, 1}, PoolOptions{3, 1, 1}, PoolOptions{2, 3, 0}})
      for (const Layout layout : {Layout::row_major, Layout::channels_last}) {
        const auto x = integers(s, 1, layout);  // many equal numbers
        const auto dy = integers(pool_shape(s, o), 2, layout);
        const auto expected = max_pool2d(x, o);
        const auto got = in_all_orders([&] {
          const auto y = max_pool2d(to_device(x), o);
          CHECK(same_bits(to_host(y.winners), expected.winners));
          return fetch({y.output, max_pool2d_backward(to_device(dy), y.winners, s)});
        });
        check_close(got, {expected.output, max_pool2d_backward(dy, expected.winners, s)}, 0.0);
      }
}

TEST_CASE("cuda pool: averages over windows of any extent") {
  for (const Shape& s : {Shape{2, 3, 7, 6}, Shape{1, 5, 1, 1}, Shape{3, 2, 8, 11}})
    for (const auto& [ho, wo] : {std::pair<Index, Index>{1, 1}, {3, 2}, {7, 6}, {9, 13}})
      for (const Layout layout : {Layout::row_major, Layout::channels_last}) {
        const auto x = gaussian<float>(s, 1, layout), dy = gaussian<float>({s[0], s[1], ho, wo}, 2, layout);
        const auto got = in_all_orders([&] {
          return fetch(
              {adaptive_avg_pool2d(to_device(x), ho, wo), adaptive_avg_pool2d_backward(to_device(dy), s)});
        });
        check_close(got, {adaptive_avg_pool2d(x, ho, wo), adaptive_avg_pool2d_backward(dy, s)}, 1e-6);
      }
  CHECK_THROWS_WITH(adaptive_avg_pool2d(to_device(integers({2, 3, 4, 5})), 0, 1),
                    "adaptive_avg_pool2d: expected rank 4 and outputs > 0, got (2, 3, 4, 5) to 0 x 1");
}
