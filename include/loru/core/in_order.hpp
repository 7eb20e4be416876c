#pragma once
// Work in parallel, results in order.

#include <functional>
#include <map>
#include <mutex>

#include <loru/core/parallel.hpp>

namespace loru::inline LORU_ISA {

/// deliver(i, work(i)) for i of [0, n): work runs on the pool, deliver one at a time in increasing order of
/// i. At most the results that wait for an earlier one are held. Rethrows the exception of the smallest index
/// that threw; what comes after it is not delivered.
template <class Result>
void run_in_order(WorkerPool& pool, Index n, const std::function<Result(Index)>& work,
                  const std::function<void(Index, Result&&)>& deliver) {
  std::mutex mutex;
  std::map<Index, Result> waiting;
  Index next = 0;
  pool.for_each(n, [&](Index i) {
    Result result = work(i);
    std::lock_guard lock{mutex};
    waiting.emplace(i, std::move(result));
    for (auto ready = waiting.extract(next); ready; ready = waiting.extract(++next))
      deliver(next, std::move(ready.mapped()));
  });
}

}  // namespace loru::inline LORU_ISA
