#pragma once
// Work in parallel, results in order.

#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include <loru/core/parallel.hpp>

namespace loru::inline LORU_ISA::fl {

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

/// A pool of objects that workers borrow: as many as work at the same time.
template <class T>
class Lender {
 public:
  explicit Lender(std::function<T()> make) : make_{std::move(make)} {}

  class Loan {
   public:
    Loan(Lender& lender, T value) : lender_{lender}, value_{std::move(value)} {}
    ~Loan() {
      std::lock_guard lock{lender_.mutex_};
      lender_.free_.push_back(std::move(value_));
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    T& operator*() { return value_; }

   private:
    Lender& lender_;
    T value_;
  };

  Loan borrow() {
    std::unique_lock lock{mutex_};
    if (free_.empty()) {
      lock.unlock();
      return {*this, make_()};
    }
    T value = std::move(free_.back());
    free_.pop_back();
    return {*this, std::move(value)};
  }

 private:
  std::function<T()> make_;
  std::mutex mutex_;
  std::vector<T> free_;
};

}  // namespace loru::inline LORU_ISA::fl
