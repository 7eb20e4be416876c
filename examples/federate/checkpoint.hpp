#pragma once
// Checkpoints of a run: DIR/checkpoint/<round, 6 digits>.safetensors, the two newest.

#include <optional>

#include "lock.hpp"
#include "output.hpp"
#include "tensorboard.hpp"

namespace federate {

/// What a run has counted and chosen so far: all that is not the simulation's.
struct ProgramState {
  Totals totals = {};
  bool warming_up = true;
  std::optional<double> best = {};  // the first metric of the model that is kept
  std::optional<Index> best_round = {}, stopped_after = {};
  std::optional<loru::train::Evaluation> test = {};  // of the model as it is, if it was evaluated
  std::vector<double> validation = {};               // metrics of the same
  Index every = 0;                                   // rounds between two checkpoints
  EventSizes events = {};                            // of TensorBoard's files
  std::string data = {};                             // data_digest() of what it trains and tests on
  std::string configuration = {};                    // configuration_digest()
};

void put_state(loru::io::Archive& archive, const ProgramState& state);

/// Throws DataError for an archive without a run's state.
ProgramState get_state(const loru::io::Archive& archive);

/// The content of rounds.csv. rounds_text() throws DataError if the archive has none.
void put_rounds_text(loru::io::Archive& archive, std::string text);
std::string_view rounds_text(const loru::io::Archive& archive);

/// The best model, without the tensors that the checkpoint leaves out of a model. take_best() sets the others
/// of a model to the best one's, and throws DataError if the archive has not all of them.
void put_best(loru::io::Archive& archive, const loru::io::Archive& best);
void take_best(const loru::io::Archive& archive, loru::io::Archive& model);

/// A checkpoint that was read and, if there is one before it, the states of clients that that one names.
struct Checkpoint {
  Index round = 0;
  loru::io::Archive archive;
  std::optional<loru::io::Archive> before = {};
  std::vector<std::string> remarks = {};  // what is to be reported once the run goes on
  std::vector<std::filesystem::path> discarded =
      {};  // what goes then: damaged ones, and all before those two
};

class Checkpoints {
 public:
  /// Errors and remarks name files from `origin` on: "<origin>checkpoint/<file>".
  explicit Checkpoints(const std::filesystem::path& run, std::string origin = {});

  bool empty() const;

  /// Writes the checkpoint of a round, with format, build and sha256, and removes all but it and the one
  /// before. Returns the round of that one, if there is one. The archive's tensors are written, not copied.
  std::optional<Index> write(Index round, loru::io::Archive archive) const;

  /// The newest that is whole; nothing if there is none at all. Nothing is removed yet: those that are not
  /// whole and those older than the two newest are `discarded`. A remark says which are not whole, and that a
  /// checkpoint is of another build. Throws DataError if none is whole, and for what is not a regular file,
  /// of another format or of another round than its name says; IoError if a file or the folder cannot be
  /// read.
  std::optional<Checkpoint> newest() const;

 private:
  std::filesystem::path folder_;
  std::string origin_;
};

/// Reports the checkpoint's remarks and removes what it discards: the run goes on from it.
void settle(const Checkpoint& checkpoint);

/// What a run goes on from: its folder, and its newest checkpoint; without one it begins at round 1.
struct Resumption {
  std::unique_ptr<FolderLock> lock;
  std::optional<Checkpoint> checkpoint;
};

}  // namespace federate
