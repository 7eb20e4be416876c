// Sums, products, biases and updates of the device.

#include <thread>

#include <loru/cuda/ops/matmul.cuh>
#include <loru/cuda/ops/reduce.cuh>
#include <loru/cuda/ops/update.cuh>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Results = std::vector<Tensor<float>>;

/// No rows, one, less and more than a piece of 256, odd and many columns.
const std::vector<Shape> matrices{{0, 3}, {1, 1}, {5, 33}, {300, 7}, {1031, 40}, {3, 130}};

}  // namespace

TEST_CASE("cuda ops: sums of whole numbers are the host's to the bit") {
  for (const Shape& shape : matrices) {
    const auto x = integers(shape);
    const auto got = in_all_orders([&] {
      const auto d = to_device(x);
      return Results{to_host(column_sum(d)), to_host(sum(d))};
    });
    check_exact(got, {column_sum(x), sum(x)});
    CHECK(squared_norm(to_device(x)) == squared_norm(x));
  }
}

TEST_CASE("cuda ops: sums of many random numbers are the host's but for rounding") {
  for (const Index n : {0, 1, 31, 4096, 4097, 50'001}) {
    const auto x = gaussian<float>({n});
    const auto got = in_all_orders([&] { return Results{to_host(sum(to_device(x)))}; });
    CHECK(std::abs(got[0].data()[0] - sum(x).data()[0]) <= 1e-5 * std::sqrt(static_cast<double>(n + 1)));
    CHECK(squared_norm(to_device(x)) == Approx(squared_norm(x)).epsilon(1e-12));
  }
}

TEST_CASE("cuda ops: a number that is not finite is found wherever it is") {
  for (const Index n : {1, 300, 5000})
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      auto x = gaussian<float>({n});
      CHECK(all_finite(to_device(x)));
      x.data()[n - 1] = bad;
      CHECK_FALSE(all_finite(to_device(x)));
      x.data()[n - 1] = 0.0f;
      x.data()[n / 2] = -bad;
      CHECK_FALSE(all_finite(to_device(x)));
    }
}

TEST_CASE("cuda ops: the first of many tensors that is not finite, by one launch and one copy") {
  std::vector<Tensor<float>> host;
  for (Index i = 0; i < 300; ++i) host.push_back(gaussian<float>({i == 7 ? 9000 : i % 5}));
  const auto found = [&] {
    std::vector<Array<float>> there;
    for (const auto& x : host) there.push_back(to_device(x));
    std::vector<const Array<float>*> all;
    for (const auto& x : there) all.push_back(&x);
    return first_not_finite(all);
  };
  CHECK(found() == 300);
  host[299].data()[3] = std::numeric_limits<float>::infinity();
  CHECK(found() == 299);
  host[7].data()[8999] = std::numeric_limits<float>::quiet_NaN();
  CHECK(found() == 7);
  host[7].data()[8999] = 0.0F;
  host[7].data()[4096] = -std::numeric_limits<float>::infinity();
  CHECK(found() == 7);
  CHECK(first_not_finite(std::vector<const Array<float>*>{}) == 0);
  if (!emulator::present) return;
  const auto x = to_device(gaussian<float>({9000}));
  const auto before = emulator::inventory();
  const auto launches = emulator::statistics.launches.load();
  CHECK(all_finite(x));
  CHECK(emulator::statistics.launches.load() - launches == 1);
  CHECK(emulator::inventory().all_copies - before.all_copies == 1);
}

TEST_CASE("cuda ops: the factor that clips gradients is the host's but for the order of its sum") {
  std::vector<Tensor<float>> host;
  for (Index i = 0; i < 300; ++i) host.push_back(gaussian<float>({i == 7 ? 9000 : i % 5}));
  double squares = 0.0;
  for (const auto& x : host) squares += squared_norm(x);
  for (const double limit : {0.1, 3.0, 1e6}) {
    const double expected = std::min(1.0, limit / (std::sqrt(squares) + 1e-6));
    std::vector<double> got;
    for (const auto order : emulator::all_orders) {
      emulator::options.order = order;
      std::vector<Array<float>> there;
      for (const auto& x : host) there.push_back(to_device(x));
      std::vector<const Array<float>*> all;
      for (const auto& x : there) all.push_back(&x);
      got.push_back(to_host(clip_scale(all, limit)).data()[0]);
    }
    emulator::options.order = emulator::Order::forward;
    CHECK(got[0] == Approx(expected).epsilon(1e-12));
    CHECK(got == std::vector<double>(got.size(), got[0]));
  }
}

TEST_CASE("cuda ops: products of either orientation, with and without what is there") {
  for (const auto& [m, n, k] : {std::array<Index, 3>{1, 1, 1}, {5, 7, 3}, {64, 33, 17}, {3, 4, 0}, {0, 4, 3}})
    for (const Op a_op : {Op::none, Op::transpose})
      for (const Op b_op : {Op::none, Op::transpose}) {
        const auto a = integers(a_op == Op::none ? Shape{m, k} : Shape{k, m}, 1);
        const auto b = integers(b_op == Op::none ? Shape{k, n} : Shape{n, k}, 2);
        const auto c = integers({m, n}, 3);
        const MatmulOptions o{a_op, b_op};
        const auto products = [&o](const auto& x, const auto& y, const auto& z) {
          auto added = clone(z), scaled = clone(z);
          matmul_into(added, 1.0f, x, y, o, 1.0f);
          matmul_into(scaled, 0.5f, x, y, o, -2.0f);
          return std::vector{matmul(x, y, o), added, scaled};
        };
        Results got;
        for (const auto& y : products(to_device(a), to_device(b), to_device(c))) got.push_back(to_host(y));
        check_close(got, products(a, b, c), 0.0);
      }
  CHECK_THROWS_WITH(matmul(to_device(integers({2, 3})), to_device(integers({2, 3})), {}),
                    "matmul: inner extents differ: (2, 3) · (2, 3)");
  auto c = to_device(integers({2, 2}));
  CHECK_THROWS_WITH(matmul_into(c, 1.0f, to_device(integers({2, 3})), to_device(integers({3, 3})), {}, 0.0f),
                    "matmul_into: expected a result of shape (2, 3), got (2, 2)");
}

TEST_CASE("cuda ops: a refused product is an error with the call, the next one works") {
  if (!emulator::present) LORU_SKIP("cuBLAS refuses nothing on a device");
  const auto a = to_device(integers({3, 3}));
  emulator::faults().product = 1;
  CHECK_THROWS_WITH(matmul(a, a, {}),
                    ContainsSubstring("failed to launch") && ContainsSubstring("blas.hpp:"));
  check_exact<float>({to_host(matmul(a, a, {}))}, {matmul(integers({3, 3}), integers({3, 3}), {})});
}

TEST_CASE("cuda ops: products follow the thread's stream and the precision of all threads") {
  const auto x = gaussian<float>({9, 40}), y = gaussian<float>({40, 5}, 2);
  const auto full = to_host(matmul(to_device(x), to_device(y), {}));
  {
    const cuda::Stream stream;
    const cuda::StreamScope scope(stream);
    check_exact<float>({to_host(matmul(to_device(x), to_device(y), {}))}, {full});
  }
  check_close<float>({full}, {matmul(x, y, {})}, 1e-6);
  cuda::set_precision(cuda::Precision::tf32);
  const auto rounded = to_host(matmul(to_device(x), to_device(y), {}));
  Tensor<float> of_another_thread;
  std::thread([&] { of_another_thread = to_host(matmul(to_device(x), to_device(y), {})); }).join();
  check_exact<float>({of_another_thread}, {rounded});
  cuda::set_precision(cuda::Precision::full);
  if (emulator::present) CHECK(difference(rounded, full) > 1e-6);  // cuBLAS may round, and need not
  CHECK(difference(rounded, full) < 2e-3);
}

TEST_CASE("cuda ops: biases, their epilogues and gradients") {
  for (const Shape& shape : matrices) {
    const auto x = integers(shape, 1), dy = integers(shape, 2), bias = integers({shape[1]}, 3);
    const auto ops = [](const auto& rows, const auto& b, const auto& d) {
      auto plain = clone(rows), rectified = clone(rows);
      auto summed = clone(rows), both = clone(rows);
      add_bias(plain, b, {});
      add_bias(rectified, b, {.relu = true});
      add_bias(summed, b, {false, d});
      add_bias(both, b, {true, d});
      const auto grads = add_bias_backward(rectified, d), open = add_bias_backward({}, d);
      return std::vector{plain, rectified, summed, both, grads.dx, grads.dbias, open.dx, open.dbias};
    };
    const auto got = in_all_orders([&] {
      Results results;
      for (const auto& y : ops(to_device(x), to_device(bias), to_device(dy))) results.push_back(to_host(y));
      return results;
    });
    check_exact(got, ops(x, bias, dy));
  }
  auto x = to_device(integers({2, 3}));
  CHECK_THROWS_WITH(add_bias(x, to_device(integers({2})), {}),
                    "add_bias: bias (2) does not fit rows of (2, 3)");
}

TEST_CASE("cuda ops: updates of SGD and Adam") {
  for (const Index n : {1, 7, 2100}) {
    const auto w = gaussian<float>({n}, 1), g = gaussian<float>({n}, 2), m = gaussian<float>({n}, 3);
    const auto v = multiply(m, m);
    const auto updates = [](const auto& weight, const auto& gradient, const auto& first, const auto& second) {
      std::vector<std::decay_t<decltype(weight)>> results;
      for (const SgdStep& o : {SgdStep{.learning_rate = 0.1}, SgdStep{0.1, 0.9, 1e-2, false, 0.5},
                               SgdStep{0.1, 0.9, 1e-2, true, 1.0}}) {
        auto x = clone(weight), velocity = clone(first);
        sgd_update(x, gradient, velocity, o);
        results.insert(results.end(), {x, velocity});
      }
      for (const bool decoupled : {false, true}) {
        auto x = clone(weight), mean = clone(first), square = clone(second);
        adam_update(x, gradient, mean, square,
                    {.learning_rate = 0.1, .weight_decay = 0.02, .decoupled = decoupled, .step = 3});
        results.insert(results.end(), {x, mean, square});
      }
      return results;
    };
    const auto got = in_all_orders([&] {
      Results results;
      for (const auto& y : updates(to_device(w), to_device(g), to_device(m), to_device(v)))
        results.push_back(to_host(y));
      return results;
    });
    check_close(got, updates(w, g, m, v), 1e-6);
  }
}
