#pragma once
// The files of a run: config.toml, rounds.csv, summary.json, clients.csv, model.safetensors and, if they are
// kept, best.safetensors and the models of some rounds.

#include <filesystem>
#include <functional>
#include <map>
#include <variant>

#include <loru/fl/simulation/overlap.hpp>
#include <loru/fl/simulation/personal.hpp>
#include <loru/io/csv.hpp>
#include <loru/train/model_file.hpp>

#include "federation.hpp"

namespace federate {

/// The numbers of summary.json that add up round by round.
struct Totals {
  Index rounds = 0;
  Index cohorts = 0;  // client turns
  std::uint64_t uplink_bytes = 0, downlink_bytes = 0;
  double train_seconds = 0.0;
  double best_test_accuracy = 0.0;
  std::vector<Index> turns_by_rank;                 // of the processes, also of earlier launches
  std::uint64_t state_bytes = 0;                    // client states that went to other processes and back
  Index dropped = 0, rejected = 0;                  // turns that were not answered; that were refused
  Index folded = 0;                                 // rounds that changed the model
  std::vector<Index> merge_rounds;                  // those that ended with a merge
  Index measured = 0;                               // rounds whose aggregation error was
  std::map<std::string, double> aggregation_error;  // by layer, summed over the rounds

  void add(const loru::fl::Round& round);
};

/// The other values of summary.json.
struct Outcome {
  loru::train::Evaluation test;
  std::vector<double> validation = {};  // the task's metrics; none where there is no validation set
  std::optional<loru::fl::PersonalAccuracy> personal = {};
  std::map<std::string, loru::fl::Overlap> overlap = {};  // of personal updates with the shared one, by layer
  Index merges = 0;
  std::map<std::string, Index> update_rank = {};
  Index threads = 0, ranks = 1;
  std::string executor = {};
  double wall_seconds = 0.0;
  std::string model_sha256;
  std::optional<Index> best_round = {};              // of the model in best.safetensors
  std::optional<Index> stopped_after = {};           // the round that was as good as wanted
  bool diverged = false;                             // the round after the last one diverged
  std::optional<std::uint64_t> graph_launches = {};  // recorded steps started, where a device records them
};

/// The content of config.toml: the effective configuration and, as a comment, the plans.
std::string config_text(const Setup& setup);

/// The content of summary.json.
std::string summary_text(const Setup& setup, Model& model, const Totals& totals, const Outcome& outcome);

/// A column of rounds.csv: a count, or a number that a round may lack.
struct RoundColumn {
  using Value = std::variant<std::uint64_t, std::optional<double>>;
  std::string name;
  std::function<Value(const loru::fl::Round&)> value;
};

/// The columns of a run with these metrics, on a validation set too if there is one.
std::vector<RoundColumn> round_columns(const std::vector<loru::train::Metric>& metrics, bool validated);
std::vector<RoundColumn> round_columns(const Setup& setup);

/// Removes what an earlier run wrote. Throws IoError if a file of this name could not be written.
void remove_earlier(const std::filesystem::path& file);

/// The files <round>.safetensors of a folder, by round; none if there is no folder. Throws IoError if it
/// cannot be listed.
std::map<Index, std::filesystem::path> files_of_rounds(const std::filesystem::path& folder);

/// Writes rounds.csv, atomically.
void write_rounds(const std::filesystem::path& folder, std::string_view text);

/// How a run begins with its folder.
enum class Begin : unsigned char {
  anew,      ///< what an earlier run left there is removed
  again,     ///< the same run from its first round: at every instant there is its config.toml
  going_on,  ///< after the rounds of rounds.csv: what they have written stays, but for the best model
};

/// A run's folder. Nothing is ever left half-written under a final name.
class Output {
 public:
  /// Creates the folder, removes what is not of this run, or of its rounds after `last`, and begins
  /// rounds.csv. Throws IoError if a file of the run could not be written.
  Output(const std::filesystem::path& folder, const Setup& setup, Begin begin, Index last = -1);

  /// Writes config.toml, by which the folder has a run.
  void write_config(const Setup& setup) const;

  /// Appends a line to rounds.csv.
  void add(const loru::fl::Round& round);

  /// The content of rounds.csv.
  std::string rounds_text() const;

  /// Writes best.safetensors, and reads it.
  void keep_best(const loru::io::Archive& model) const;
  loru::io::Archive best() const;

  /// Writes merges/<round>.safetensors: the factors that the round merged.
  void keep_merge(Index round, const loru::lowrank::Products<float>& factors) const;

  /// Writes rounds/<round>.safetensors.
  void keep_round(Index round, const loru::io::Archive& model) const;

  /// Writes model.safetensors, clients.csv, rounds.csv as it is and, last, summary.json, all synchronised to
  /// disk. No row may follow.
  void finish(const Setup& setup, const loru::data::Partition& parts, Model& model,
              const std::string& summary, const std::optional<loru::fl::PersonalAccuracy>& personal) const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  std::vector<RoundColumn> columns_;
  loru::io::CsvWriter rounds_;
};

/// The factors of every merge that a run has kept, in their order.
std::vector<loru::io::Archive> kept_merges(const std::filesystem::path& folder);

/// SHA-256 of all samples and targets, in hexadecimal.
std::string data_digest(const loru::data::Split& data);

/// SHA-256 of a configuration, but for the folder of the data, in hexadecimal.
std::string configuration_digest(Configuration configuration);

/// Names, shapes and bytes of all tensors in name order, as SHA-256 in hexadecimal: for each tensor its
/// name, a zero byte, the number of extents and the extents (8 bytes each, little-endian), then its
/// row-major bytes. Metadata do not count.
std::string sha256(const loru::io::Archive& archive);

}  // namespace federate
