#pragma once
// Who does the turns of a cohort: bytes in, bytes out.

#include <loru/core/parallel.hpp>
#include <loru/fl/simulation/window.hpp>

namespace loru::inline LORU_ISA::fl {

/// Does jobs: the turns of a cohort, the batches of an evaluation. What they need besides their bytes every
/// process has: it has built the same simulation, and hears what changed since.
class Executor {
 public:
  /// How a job is done: the job, and what belongs to it alone (for a turn, the client's state; may be none).
  /// Called by several threads at the same time.
  using Work = std::function<Answer(const Job&, const Bytes&)>;
  /// What belongs to job i alone. Called when the job begins, by several threads at the same time.
  using Own = std::function<Bytes(Index)>;

  virtual ~Executor() = default;

  /// Jobs that are done at the same time.
  virtual Index workers() const = 0;

  /// Does the jobs in any order and delivers their answers in the order of the jobs (Window). What work or
  /// own throws is the answer's error. Throws what deliver throws, when no job is under way.
  virtual void run(std::span<const Job> jobs, const Work& work, const Own& own, const Deliver& deliver) = 0;

  // An executor may have other processes than the one with the server, which is process 0.

  /// How another process takes in news.
  using Hear = std::function<void(const Bytes&)>;

  /// This process, and how many there are.
  virtual Index rank() const { return 0; }
  virtual Index ranks() const { return 1; }

  /// Process 0: gives news to the others, which hear them before any job that is run later.
  virtual void tell(const Bytes&) {}

  /// Process 0: ends serve() on the others.
  virtual void release() {}

  /// Other processes: does jobs and hears news. True when process 0 has released it, false at the end.
  virtual bool serve(const Work&, const Hear&) { return false; }

 protected:
  /// The job's answer.
  static Answer answer(const Job& job, Index i, const Work& work, const Own& own) {
    try {
      return work(job, own(i));
    } catch (...) {
      return {.error = std::current_exception()};
    }
  }
};

/// Threads of this process.
class ThreadExecutor final : public Executor {
 public:
  /// Throws ConfigError for fewer than one thread.
  explicit ThreadExecutor(Index threads) : pool_{threads} {}

  Index workers() const override { return pool_.threads(); }

  void run(std::span<const Job> jobs, const Work& work, const Own& own, const Deliver& deliver) override {
    Window window(jobs, workers(), deliver);
    pool_.for_each(std::min(workers(), std::ssize(jobs)), [&](Index) {
      while (const auto i = window.begin())
        window.finish(*i, answer(jobs[static_cast<std::size_t>(*i)], *i, work, own));
    });
    window.rethrow();
  }

 private:
  WorkerPool pool_;
};

}  // namespace loru::inline LORU_ISA::fl
