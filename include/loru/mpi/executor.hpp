#pragma once
// An executor over the processes of an MPI program.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>

#include <loru/fl/simulation/executor.hpp>
#include <loru/mpi/errors.hpp>
#include <loru/mpi/mailbox.hpp>

namespace loru::inline LORU_ISA::mpi {

/// The threads of all processes of a communicator. Process 0 hands out the jobs and does some itself; the
/// others serve(). Each process has one thread more, its main thread, which alone calls MPI and sleeps while
/// there is nothing to send or to receive. What jobs share goes to a process once a run.
///
/// Every process makes one, at the same time, and destroys it before MPI_Finalize.
class Executor final : public fl::Executor {
 public:
  /// `threads` of this process. Throws ConfigError for fewer than one, and on every process if one cannot
  /// start its threads.
  explicit Executor(Index threads, MPI_Comm comm = MPI_COMM_WORLD)
      : mailbox_{comm}, threads_(static_cast<std::size_t>(mailbox_.ranks())) {
    std::exception_ptr failure;
    try {
      require<ConfigError>(threads >= 1, "threads: expected at least 1, got ", threads);
      pool_.emplace(threads + 1);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::int64_t own = failure ? 0 : threads;
    MPI_Allgather(&own, 1, MPI_INT64_T, threads_.data(), 1, MPI_INT64_T, mailbox_.comm());
    if (failure) std::rethrow_exception(failure);
    const auto without = std::ranges::find(threads_, 0);
    require<ConfigError>(without == threads_.end(), "rank ", without - threads_.begin(),
                         ": expected a process that can start its threads");
  }
  /// Process 0 sends the others home.
  ~Executor() override {
    if (rank() > 0) return;
    post_all({.kind = Kind::farewell});
    for (Index left = ranks() - 1; left > 0; mailbox_.rest())
      while (const auto letter = mailbox_.look()) left -= letter->note.kind == Kind::farewell;
  }

  Index workers() const override { return std::accumulate(threads_.begin(), threads_.end(), Index{0}); }
  Index rank() const override { return mailbox_.rank(); }
  Index ranks() const override { return mailbox_.ranks(); }

  void tell(const fl::Bytes& news) override { post_all({.kind = Kind::news}, news); }
  void release() override { post_all({.kind = Kind::release}); }

  /// Throws at once if another process has failed before.
  void run(std::span<const fl::Job> jobs, const Work& work, const Own& own,
           const fl::Deliver& deliver) override {
    if (lost_) std::rethrow_exception(lost_);
    fl::Window window(jobs, workers(), deliver);
    pool_->for_each(pool_->threads(), [&](Index lane) {
      if (lane > 0) return work_off(window, jobs, work, own);
      try {  // the pool gives lane 0 to the thread that calls it
        hand_out(window, jobs, own);
      } catch (...) {
        window.fail(std::current_exception());
      }
    });
    bodies_.clear();
    window.rethrow();
  }

  /// Also ends, and says so to process 0, when hear throws.
  bool serve(const Work& work, const Hear& hear) override {
    bool released = false;
    Queue queue;
    std::exception_ptr failure;
    pool_->for_each(pool_->threads(), [&](Index lane) {
      if (lane > 0) return queue.work_off(work);
      try {
        released = listen(queue, hear);
      } catch (...) {
        failure = std::current_exception();
      }
      queue.close();
    });
    if (failure) fail(failure);
    return released;
  }

  /// Other processes: says to process 0 that no job can be done here, and waits to be sent home.
  void fail(const std::exception_ptr& error) {
    mailbox_.post(0, {.kind = Kind::failure}, bytes(to_bytes(error)));
    while (!gone_) {
      while (const auto letter = mailbox_.look()) go_if_sent_home(*letter);
      mailbox_.rest();
    }
  }

 private:
  /// The jobs of a process other than 0.
  class Queue {
   public:
    void put(Letter&& job, fl::Bytes body) {
      const std::lock_guard lock{mutex_};
      jobs_.push_back({std::move(job), std::move(body)});
      changed_.notify_one();
    }
    void close() {
      const std::lock_guard lock{mutex_};
      closed_ = true;
      changed_.notify_all();
    }
    void work_off(const Work& work) {
      std::unique_lock lock{mutex_};
      for (;;) {
        changed_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        const auto [letter, body] = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        const Note& note = letter.note;
        fl::Answer answer = Executor::answer({note.number, note.size, body}, note.index, work,
                                             [&](Index) { return letter.first; });
        lock.lock();
        done_.emplace_back(note, std::move(answer));
        finished_.notify_one();
      }
    }
    /// A job that is done; waits for one, but not longer than this.
    std::optional<std::pair<Note, fl::Answer>> next_done(std::chrono::microseconds most) {
      std::unique_lock lock{mutex_};
      if (!finished_.wait_for(lock, most, [this] { return !done_.empty(); })) return std::nullopt;
      auto next = std::move(done_.front());
      done_.pop_front();
      return next;
    }

   private:
    std::mutex mutex_;
    std::condition_variable changed_, finished_;
    std::deque<std::pair<Letter, fl::Bytes>> jobs_;
    std::deque<std::pair<Note, fl::Answer>> done_;
    bool closed_ = false;
  };

  /// What process 0 knows of another one during a run.
  struct Peer {
    Index busy = 0;  // jobs that it has
    bool failed = false;
    std::set<std::int64_t> bodies{};
  };

  static fl::Bytes bytes(fl::Message&& message) {
    return std::make_shared<const fl::Message>(std::move(message));
  }

  void post_all(const Note& note, const fl::Bytes& first = {}) {
    for (Index to = 1; to < ranks(); ++to) mailbox_.post(to, note, first);
  }

  void work_off(fl::Window& window, std::span<const fl::Job> jobs, const Work& work, const Own& own) {
    while (const auto i = window.begin())
      window.finish(*i, answer(jobs[static_cast<std::size_t>(*i)], *i, work, own));
  }

  /// Gives jobs to the other processes and takes their answers, until none is under way and none will begin.
  void hand_out(fl::Window& window, std::span<const fl::Job> jobs, const Own& own) {
    ++run_;
    peers_.assign(threads_.size(), {});
    for (;;) {
      for (bool gave = true; gave;) {  // one each in turn
        gave = false;
        for (Index to = 1; to < ranks(); ++to) gave |= give(to, window, jobs, own);
      }
      bool came = false;
      while (auto letter = mailbox_.look()) came |= take(std::move(*letter), window);
      if (!came && window.done() && std::ranges::all_of(peers_, [](const Peer& p) { return p.busy == 0; }))
        return;
      if (!came) mailbox_.rest();
    }
  }

  /// A job for a process that has a thread free, or, while many are left, soon will have.
  bool give(Index to, fl::Window& window, std::span<const fl::Job> jobs, const Own& own) {
    Peer& peer = peers_[static_cast<std::size_t>(to)];
    const Index ahead = window.left() > 2 * workers() ? 1 : 0;
    if (peer.failed || peer.busy >= threads_[static_cast<std::size_t>(to)] + ahead) return false;
    const auto i = window.try_begin();
    if (!i) return false;
    const fl::Job& job = jobs[static_cast<std::size_t>(*i)];
    try {
      const fl::Bytes alone = own(*i);
      const auto body = bodies_.try_emplace(job.shared, std::ssize(bodies_)).first->second;
      if (peer.bodies.insert(body).second)
        mailbox_.post(to, {.kind = Kind::body, .run = run_, .index = body}, job.shared);
      mailbox_.post(to, {Kind::job, run_, *i, job.number, job.size, body}, alone);
      ++peer.busy;
    } catch (...) {
      window.finish(*i, {.error = std::current_exception()});
    }
    return true;
  }

  /// Whether the letter was an answer.
  bool take(Letter&& letter, fl::Window& window) {
    Peer& peer = peers_[static_cast<std::size_t>(letter.from)];
    if (letter.note.kind == Kind::failure) {
      peer = {.failed = true};
      lost_ = to_error(*letter.first);
      window.fail(lost_);
      return false;
    }
    if (letter.note.run != run_ || peer.failed) return false;
    --peer.busy;
    fl::Answer answer{.rank = letter.from};
    if (letter.note.kind == Kind::refusal)
      answer.error = to_error(*letter.first);
    else
      answer.update = std::move(*letter.first), answer.state = std::move(*letter.second);
    window.finish(letter.note.index, std::move(answer));
    return true;
  }

  /// Other processes: until release (true) or farewell (false).
  bool listen(Queue& queue, const Hear& hear) {
    std::map<std::int64_t, fl::Bytes> bodies;
    std::int64_t run = 0;
    for (;;) {
      while (auto letter = mailbox_.look()) {
        if (letter->note.kind == Kind::release) return true;
        if (go_if_sent_home(*letter)) return false;
        if (letter->note.kind == Kind::news) hear(letter->first);
        if (letter->note.kind == Kind::body) {
          if (letter->note.run != run) bodies.clear();
          run = letter->note.run;
          bodies[letter->note.index] = letter->first;
        }
        if (letter->note.kind == Kind::job) {
          const fl::Bytes body = bodies.at(letter->note.body);
          queue.put(std::move(*letter), body);
        }
      }
      while (auto done = queue.next_done(mailbox_.next_pause())) reply(done->first, std::move(done->second));
    }
  }

  void reply(const Note& job, fl::Answer&& answer) {
    if (answer.error)
      mailbox_.post(0, {Kind::refusal, job.run, job.index}, bytes(to_bytes(answer.error)));
    else
      mailbox_.post(0, {Kind::answer, job.run, job.index}, bytes(std::move(answer.update)),
                    bytes(std::move(answer.state)));
  }

  bool go_if_sent_home(const Letter& letter) {
    if (letter.note.kind != Kind::farewell) return false;
    mailbox_.post(0, {.kind = Kind::farewell});
    return gone_ = true;
  }

  Mailbox mailbox_;
  std::optional<WorkerPool> pool_;
  std::vector<std::int64_t> threads_;  // of each process
  std::int64_t run_ = 0;
  std::vector<Peer> peers_;
  std::exception_ptr lost_;  // process 0: what another one has failed with; it does no more jobs
  std::map<fl::Bytes, std::int64_t> bodies_;  // what jobs of the run share, by pointer
  bool gone_ = false;
};

}  // namespace loru::inline LORU_ISA::mpi
