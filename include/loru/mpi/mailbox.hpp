#pragma once
// Messages between the processes of a run. Only functions of MPI's C interface are called, by one thread.

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <loru/fl/message/head.hpp>

namespace loru::inline LORU_ISA::mpi {

/// A process with nothing to do sleeps so long between two looks at its mail, the longer the more often
/// nothing has come: MPI's own wait burns its core, and so do many looks.
inline constexpr std::chrono::microseconds shortest_pause{100}, longest_pause{2000};

/// What a letter is about; what the numbers mean depends on the kind.
enum class Kind : std::int64_t {
  news,      ///< first: what jobs that come need
  body,      ///< first: what jobs share; index: its number
  job,       ///< first: what belongs to it alone; index, number, size, body
  answer,    ///< first: the update, second: the state; index
  refusal,   ///< first: the exception in place of an answer; index
  failure,   ///< first: the exception of a process that does no more jobs
  release,   ///< jobs of another kind follow
  farewell,  ///< no jobs follow; the answer is the same
};

struct Note {
  Kind kind{};
  std::int64_t run = 0, index = 0, number = 0, size = 0, body = 0;
  std::int64_t bytes[2] = {-1, -1};  ///< of first and second; -1: none
};

struct Letter {
  Index from = 0;
  Note note{};
  std::shared_ptr<fl::Message> first{}, second{};
};

/// Sends without waiting, and receives what has come. Letters of one process arrive in the order in which
/// they were posted.
class Mailbox {
 public:
  /// A copy of the communicator. MPI must be initialised, at least for MPI_THREAD_FUNNELED.
  explicit Mailbox(MPI_Comm comm) {
    MPI_Comm_dup(comm, &comm_);
    int rank = 0, ranks = 1;
    MPI_Comm_rank(comm_, &rank);
    MPI_Comm_size(comm_, &ranks);
    rank_ = rank;
    ranks_ = ranks;
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() {
    flush();
    MPI_Comm_free(&comm_);
  }

  Index rank() const { return rank_; }
  Index ranks() const { return ranks_; }
  MPI_Comm comm() const { return comm_; }

  void post(Index to, Note note, fl::Bytes first = {}, fl::Bytes second = {}) {
    note.bytes[0] = first ? std::ssize(*first) : -1;
    note.bytes[1] = second ? std::ssize(*second) : -1;
    Parcel& parcel = on_their_way_.emplace_back(
        Parcel{std::make_unique<Note>(note), {std::move(first), std::move(second)}, {}});
    send(parcel, to, note_tag, parcel.note.get(), sizeof(Note));
    for (const fl::Bytes& part : parcel.parts)
      for_each_piece(part ? std::ssize(*part) : 0,
                     [&](Index at, Index count) { send(parcel, to, bytes_tag, part->data() + at, count); });
  }

  /// A letter that has come, if there is one.
  std::optional<Letter> look() {
    forget_sent();
    int there = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, note_tag, comm_, &there, &status);
    if (!there) return std::nullopt;
    pause_ = shortest_pause;
    Letter letter{.from = status.MPI_SOURCE};
    MPI_Recv(&letter.note, sizeof(Note), MPI_BYTE, status.MPI_SOURCE, note_tag, comm_, MPI_STATUS_IGNORE);
    letter.first = receive(status.MPI_SOURCE, letter.note.bytes[0]);
    letter.second = receive(status.MPI_SOURCE, letter.note.bytes[1]);
    return letter;
  }

  /// How long to sleep before the next look; not long while letters are on their way, since large ones go on
  /// when their sender looks.
  std::chrono::microseconds next_pause() {
    const auto now = on_their_way_.empty() ? pause_ : shortest_pause;
    pause_ = std::min(2 * pause_, longest_pause);
    return now;
  }

  /// Sleeps so long.
  void rest() { std::this_thread::sleep_for(next_pause()); }

  /// Waits until all letters are on their way.
  void flush() {
    for (forget_sent(); !on_their_way_.empty(); forget_sent()) rest();
  }

 private:
  static constexpr int note_tag = 0, bytes_tag = 1;
  static constexpr Index largest_piece = Index{1} << 30;  // MPI counts in int

  struct Parcel {
    std::unique_ptr<Note> note;
    fl::Bytes parts[2];
    std::vector<MPI_Request> requests;
  };

  template <class F>
  static void for_each_piece(Index size, F f) {
    for (Index at = 0; at < size; at += largest_piece) f(at, std::min(largest_piece, size - at));
  }

  void send(Parcel& parcel, Index to, int tag, const void* data, Index count) {
    MPI_Isend(data, static_cast<int>(count), MPI_BYTE, static_cast<int>(to), tag, comm_,
              &parcel.requests.emplace_back());
  }

  std::shared_ptr<fl::Message> receive(int from, Index size) {
    if (size < 0) return nullptr;
    auto bytes = std::make_shared<fl::Message>(static_cast<std::size_t>(size));
    for_each_piece(size, [&](Index at, Index count) {
      MPI_Recv(bytes->data() + at, static_cast<int>(count), MPI_BYTE, from, bytes_tag, comm_,
               MPI_STATUS_IGNORE);
    });
    return bytes;
  }

  void forget_sent() {
    on_their_way_.remove_if([](Parcel& parcel) {
      int sent = 0;
      MPI_Testall(static_cast<int>(parcel.requests.size()), parcel.requests.data(), &sent,
                  MPI_STATUSES_IGNORE);
      return sent != 0;
    });
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  Index rank_ = 0, ranks_ = 1;
  std::list<Parcel> on_their_way_;
  std::chrono::microseconds pause_ = shortest_pause;
};

}  // namespace loru::inline LORU_ISA::mpi
