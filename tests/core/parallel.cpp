#include <loru/core/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/in_order.hpp>

#include "support/catch.hpp"

using namespace loru;

TEST_CASE("parallel: every index once") {
  WorkerPool pool(GENERATE(1, 2, 5));
  for (Index n : {0, 1, 2, 3, 1000}) {
    std::vector<std::atomic<int>> counts(static_cast<std::size_t>(n));
    pool.for_each(n, [&](Index i) { ++counts[static_cast<std::size_t>(i)]; });
    for (const auto& count : counts) CHECK(count == 1);
  }
}

TEST_CASE("parallel: many short loops in a row") {
  WorkerPool pool(4);
  std::atomic<Index> sum = 0;
  for (int loop = 0; loop < 2000; ++loop) pool.for_each(5, [&](Index i) { sum += i; });
  CHECK(sum == 2000 * 10);
}

TEST_CASE("parallel: the exception of the smallest index, and the pool lives on") {
  WorkerPool pool(GENERATE(1, 3));
  for (int loop = 0; loop < 50; ++loop) {
    std::string message;
    try {
      pool.for_each(100, [](Index i) {
        if (i % 10 == 7) throw std::runtime_error(std::to_string(i));
      });
    } catch (const std::runtime_error& e) {
      message = e.what();
    }
    REQUIRE(message == "7");
  }
  std::atomic<int> count = 0;
  pool.for_each(10, [&](Index) { ++count; });
  CHECK(count == 10);
}

TEST_CASE("parallel: a failure leaves out indices not begun yet") {
  WorkerPool pool(2);
  std::atomic<int> begun = 0;
  CHECK_THROWS_AS(pool.for_each(100000,
                                [&](Index) {
                                  ++begun;
                                  throw std::runtime_error("stop");
                                }),
                  std::runtime_error);
  CHECK(begun <= 2);
}

TEST_CASE("parallel: a loop inside a loop runs serially, in order") {
  WorkerPool pool(3);
  std::vector<std::vector<Index>> seen(8);
  pool.for_each(8, [&](Index outer) {
    pool.for_each(20, [&](Index i) { seen[static_cast<std::size_t>(outer)].push_back(i); });
  });
  for (const auto& order : seen) {
    REQUIRE(order.size() == 20);
    for (std::size_t i = 0; i < 20; ++i) CHECK(order[i] == static_cast<Index>(i));
  }
}

TEST_CASE("parallel: parallel_for uses the pool of the scope") {
  const auto threads_used = [] {
    std::mutex mutex;
    std::vector<std::thread::id> ids;
    std::atomic<int> waiting = 0;
    parallel_for(2, [&](Index) {
      ++waiting;  // both bodies are under way at once only on two threads
      for (int spin = 0; spin < 200 && waiting < 2; ++spin)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const std::lock_guard lock(mutex);
      if (std::find(ids.begin(), ids.end(), std::this_thread::get_id()) == ids.end())
        ids.push_back(std::this_thread::get_id());
    });
    return ids.size();
  };
  WorkerPool pool(2);
  CHECK(threads_used() == 1);
  {
    const ParallelScope scope(pool);
    CHECK(threads_used() == 2);
    std::size_t elsewhere = 0;
    std::thread([&] { elsewhere = threads_used(); }).join();  // a scope belongs to its thread
    CHECK(elsewhere == 1);
  }
  CHECK(threads_used() == 1);
}

TEST_CASE("parallel: no thread is refused by name") {
  CHECK_THROWS_WITH(WorkerPool(0), "threads: expected at least 1, got 0");
}

TEST_CASE("parallel: results are delivered in order, whatever finishes first") {
  WorkerPool pool(3);
  std::vector<Index> delivered;
  run_in_order<std::unique_ptr<Index>>(
      pool, 30,
      [](Index i) {
        std::this_thread::sleep_for(std::chrono::microseconds((i * 7919) % 400));
        return std::make_unique<Index>(i * i);
      },
      [&](Index i, std::unique_ptr<Index>&& result) {
        REQUIRE(*result == i * i);
        delivered.push_back(i);
      });
  REQUIRE(delivered.size() == 30);
  CHECK(std::is_sorted(delivered.begin(), delivered.end()));
  run_in_order<int>(pool, 0, [](Index) { return 0; }, [](Index, int&&) { FAIL("nothing to deliver"); });
}

TEST_CASE("parallel: the first failure is thrown, and nothing after it delivered") {
  WorkerPool pool(GENERATE(1, 2, 3));
  const bool in_work = GENERATE(true, false);
  std::vector<Index> delivered;
  const auto check = [&](bool here, Index i) {
    if (here && (i == 4 || i == 6)) fail<DataError>("failed at ", i);
  };
  const auto run = [&] {
    run_in_order<Index>(
        pool, 20,
        [&](Index i) {
          std::this_thread::sleep_for(std::chrono::microseconds((i * 7919) % 300));
          check(in_work, i);
          return i;
        },
        [&](Index i, Index&& result) {
          delivered.push_back(result);
          check(!in_work, i);
        });
  };
  CHECK_THROWS_WITH(run(), "failed at 4");
  CHECK(delivered.size() <= (in_work ? 4 : 5));
  for (std::size_t i = 0; i < delivered.size(); ++i) CHECK(delivered[i] == static_cast<Index>(i));
}
