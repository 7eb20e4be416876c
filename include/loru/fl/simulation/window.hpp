#pragma once
// Jobs for an executor, the order in which they begin, and their answers in the order of the jobs.

#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <loru/fl/message/head.hpp>

namespace loru::inline LORU_ISA::fl {

/// A piece of work as bytes; for a turn, the client's number, its samples, and the broadcast that it shares
/// with other clients but for the number in its head.
struct Job {
  Index number = 0;
  Index size = 0;  ///< large jobs begin first
  Bytes shared{};
};

/// What came of a job: for a turn, the update and the client's new state. With an error both are empty.
struct Answer {
  Message update{}, state{};
  std::exception_ptr error{};
  Index rank = 0;  ///< of the process that did the job
};

/// deliver(i, answer): called for one job at a time, in the order of the jobs.
using Deliver = std::function<void(Index, Answer&&)>;

/// Hands out jobs and delivers their answers. A job begins at most 2·workers + 8 places after the first one
/// that is not delivered, so that no more answers wait. Among those places the largest begins first, the
/// smaller index among equals; the first place begins when half of the others have, so that the window moves
/// on before its end is reached. A delivery that throws is the last one. Thread-safe.
class Window {
 public:
  /// Keeps references to the jobs and to deliver.
  Window(std::span<const Job> jobs, Index workers, const Deliver& deliver)
      : jobs_{jobs}, width_{2 * workers + 8}, deliver_{deliver}, begun_(jobs.size(), false) {}

  /// The job to begin next. Waits for one; none when all have begun or a delivery has failed.
  std::optional<Index> begin() {
    std::unique_lock lock{mutex_};
    moved_.wait(lock, [this] { return closed() || next() >= 0; });
    return take();
  }

  /// The same without waiting: none also where the window is full.
  std::optional<Index> try_begin() {
    const std::lock_guard lock{mutex_};
    return take();
  }

  /// Takes the answer of a job that has begun, and delivers what can be delivered unless another thread is
  /// doing so.
  void finish(Index i, Answer&& answer) {
    std::unique_lock lock{mutex_};
    try {
      waiting_.emplace(i, std::move(answer));
    } catch (...) {  // out of memory
      if (!failure_) failure_ = std::current_exception();
      moved_.notify_all();
    }
    if (delivering_) return;
    delivering_ = true;
    while (!failure_) {
      auto ready = waiting_.extract(delivered_);
      if (!ready) break;
      lock.unlock();
      std::exception_ptr failure;
      try {
        deliver_(ready.key(), std::move(ready.mapped()));
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (!failure_) failure_ = failure;
      ++delivered_;
      moved_.notify_all();
    }
    delivering_ = false;
  }

  /// Jobs that have not begun.
  Index left() {
    const std::lock_guard lock{mutex_};
    return std::ssize(jobs_) - count_;
  }

  /// Ends it as a delivery that throws does.
  void fail(std::exception_ptr failure) {
    const std::lock_guard lock{mutex_};
    if (!failure_) failure_ = std::move(failure);
    moved_.notify_all();
  }

  /// Whether no further job will begin.
  bool done() {
    const std::lock_guard lock{mutex_};
    return closed();
  }

  /// Throws what a delivery has thrown. To be called when all jobs that began are finished.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  bool closed() const { return failure_ || count_ == std::ssize(jobs_); }

  /// The job to begin next; -1: none.
  Index next() const {
    const Index end = std::min(delivered_ + width_, std::ssize(jobs_));
    Index chosen = -1, begun = 0;
    for (Index i = delivered_; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (begun_[at])
        ++begun;
      else if (chosen < 0 || jobs_[at].size > jobs_[static_cast<std::size_t>(chosen)].size)
        chosen = i;
    }
    const bool first_waits = delivered_ < end && !begun_[static_cast<std::size_t>(delivered_)];
    return first_waits && 2 * begun >= width_ ? delivered_ : chosen;
  }

  std::optional<Index> take() {
    const Index i = closed() ? -1 : next();
    if (i < 0) return std::nullopt;
    begun_[static_cast<std::size_t>(i)] = true;
    ++count_;
    return i;
  }

  std::span<const Job> jobs_;
  Index width_;
  const Deliver& deliver_;
  std::mutex mutex_;
  std::condition_variable moved_;
  std::vector<bool> begun_;
  Index count_ = 0, delivered_ = 0;  // jobs that have begun, that are delivered
  bool delivering_ = false;
  std::map<Index, Answer> waiting_;
  std::exception_ptr failure_;
};

}  // namespace loru::inline LORU_ISA::fl
