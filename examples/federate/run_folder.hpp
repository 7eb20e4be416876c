#pragma once
// What the folders of runs hold, also of runs that are unfinished, under way or broken.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <loru/train/task.hpp>

namespace federate {

using loru::Index;

enum class RunState : unsigned char {
  finished,     ///< it reached its last round, or was as good as wanted
  diverged,     ///< the round after its last one diverged
  running,      ///< a process holds the folder
  interrupted,  ///< it ended before its last round
  broken        ///< its files are not those of a run
};

std::string to_string(RunState state);

/// A run as its files tell. Of a broken one, and of one that has just begun, what is not known is empty.
struct RunFolder {
  std::filesystem::path folder;
  std::string algorithm = {}, model = {}, dataset = {};
  std::optional<Index> seed = {}, rounds_wanted = {};
  Index rounds = 0;                                  // that are done
  Index uplink_bytes = 0;                            // over these rounds
  double seconds = 0.0;                              // the same
  std::optional<loru::train::Metric> metric = {};    // the task's first
  std::optional<double> value = {}, test_loss = {};  // of the model at the end, or the last one tested
  RunState state = RunState::interrupted;
  std::optional<Index> checkpoint = {};  // the round of the newest, of a run that may go on
  std::string remark = {};               // what there is to say of the state
};

/// The runs in a folder and in the folders below it, in the order of their names, in which numbers count as
/// numbers. A folder is a run if it has config.toml, rounds.csv or summary.json. Links to folders are not
/// followed. Throws ConfigError if there is no such folder; what is wrong with a folder below it is said of
/// that one.
std::vector<RunFolder> runs_in(const std::filesystem::path& folder);

/// Whether the folder has a file that only runs have in theirs. Throws nothing.
bool is_run(const std::filesystem::path& folder);

/// Throws ConfigError "<who>: --out: ..." for a run's own folder, whose files tables would mix with.
void require_no_run(const std::filesystem::path& folder, const std::string& who);

/// Whether a path is the run's folder, a file of a run or in one of its folders; both as weakly_canonical
/// gives them.
bool is_part_of_run(const std::filesystem::path& path, const std::filesystem::path& run);

/// The order of names: seed-2 before seed-10.
bool natural_before(const std::string& a, const std::string& b);

}  // namespace federate
