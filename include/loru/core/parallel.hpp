#pragma once
// A small pool of threads and a loop over it. Results must not depend on which thread runs which index; the
// pool gives no order. It uses std::thread, since libc++ 19 has no std::jthread.

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA {

/// `threads - 1` workers plus the calling thread. One loop at a time; a loop begun inside a loop runs
/// serially.
class WorkerPool {
 public:
  explicit WorkerPool(Index threads) {
    require<ConfigError>(threads >= 1, "threads: expected at least 1, got ", threads);
    try {
      for (Index i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (...) {  // the system has no more threads to give
      stop();
      throw;
    }
  }
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  Index threads() const { return static_cast<Index>(workers_.size()) + 1; }

  /// body(i) for every i of [0, n), each once, indices handed out in increasing order. Rethrows the exception
  /// of the smallest index that threw; indices not yet begun by then are left out.
  void for_each(Index n, const std::function<void(Index)>& body) {
    if (n <= 0) return;
    if (workers_.empty() || n == 1 || inside()) {
      for (Index i = 0; i < n; ++i) body(i);
      return;
    }
    std::unique_lock lock{mutex_};
    body_ = &body;
    next_ = 0;
    end_ = n;
    failed_ = n;
    failure_ = nullptr;
    ++loop_;
    begin_.notify_all();
    run(lock);
    done_.wait(lock, [this] { return running_ == 0; });
    body_ = nullptr;
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static bool& inside() {
    thread_local bool value = false;
    return value;
  }

  /// Ends the workers; no loop is under way.
  void stop() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    begin_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void work() {
    std::unique_lock lock{mutex_};
    for (std::size_t seen = 0;;) {
      begin_.wait(lock, [&] { return stopping_ || loop_ != seen; });
      if (stopping_) return;
      seen = loop_;
      run(lock);
    }
  }

  /// Takes indices until none is left. Holds the lock except while the body runs.
  void run(std::unique_lock<std::mutex>& lock) {
    inside() = true;
    ++running_;
    while (body_ && next_ < end_) {
      const Index i = next_++;
      const auto& body = *body_;
      lock.unlock();
      std::exception_ptr failure;
      try {
        body(i);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure) {
        end_ = next_;
        if (i < failed_) {
          failed_ = i;
          failure_ = failure;
        }
      }
    }
    inside() = false;
    if (--running_ == 0) done_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable begin_, done_;
  const std::function<void(Index)>* body_ = nullptr;
  std::size_t loop_ = 0;
  Index next_ = 0, end_ = 0, failed_ = 0, running_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> workers_;
};

/// The pool that loops inside ops of this thread use; none (serial) unless a ParallelScope is alive.
class ParallelScope {
 public:
  explicit ParallelScope(WorkerPool& pool) : previous_{current()} { current() = &pool; }
  ~ParallelScope() { current() = previous_; }
  ParallelScope(const ParallelScope&) = delete;
  ParallelScope& operator=(const ParallelScope&) = delete;

  static WorkerPool*& current() {
    thread_local WorkerPool* pool = nullptr;
    return pool;
  }

 private:
  WorkerPool* previous_;
};

/// body(i) for i of [0, n) on the pool of this thread's ParallelScope, or serially.
template <class F>
void parallel_for(Index n, F&& body) {
  if (WorkerPool* pool = ParallelScope::current())
    pool->for_each(n, body);
  else
    for (Index i = 0; i < n; ++i) body(i);
}

/// body(first, last) for consecutive ranges that cover [0, n), each of `block` indices but for the last.
template <class F>
void parallel_blocks(Index n, Index block, F&& body) {
  parallel_for((n + block - 1) / block, [&](Index i) { body(i * block, std::min((i + 1) * block, n)); });
}

}  // namespace loru::inline LORU_ISA
