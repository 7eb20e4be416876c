#pragma once
// A run's events for TensorBoard, in DIR/tensorboard/. tensorboard/present.cpp is built where protobuf and
// Boost.CRC are found, else tensorboard/absent.cpp.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <loru/core/tensor.hpp>
#include <loru/fl/simulation/round.hpp>
#include <loru/train/task.hpp>

namespace federate {

using loru::Index;

/// Throws ConfigError where the program was built without what writes events.
void require_tensorboard();

/// The folder of a run's event files, in the run's.
inline constexpr const char* events_folder = "tensorboard";

/// Whether a file has the name of one.
bool is_event_file(const std::filesystem::path& file);

/// What a round tells, by tag.
struct RoundEvents {
  Index round = 0;
  Index uplink_bytes = 0;  // of all rounds so far
  std::map<std::string, double>
      measured;                         // losses and metrics, drawn against rounds and against uplink_bytes
  std::map<std::string, double> spent;  // drawn against rounds alone
  std::map<std::string, loru::Tensor<float>> histograms = {};
};

/// All but the histograms. What the round has not measured is left out.
RoundEvents round_events(const loru::fl::Round& round, const std::vector<loru::train::Metric>& metrics,
                         Index uplink_bytes);

/// The bytes of a run's event files, by name.
using EventSizes = std::map<std::string, Index>;

/// A file of events that grows round by round. Each record is handed to the system at once, so that a killed
/// run leaves whole ones.
class EventFile {
 public:
  virtual ~EventFile() = default;

  /// A text without a round: Markdown.
  virtual void add_text(const std::string& tag, const std::string& text) = 0;
  /// A record whose step is the round; one for `measured` again, by_uplink/<tag>, whose step is uplink_bytes.
  virtual void add(const RoundEvents& round) = 0;

  /// Synchronises the file to disk. Returns the bytes of all event files of the run.
  virtual EventSizes synchronise() = 0;
};

/// Begins a new file in the folder. Of the files that are there, those of `kept` are cut to the bytes that
/// they had then and stay, and the others are removed: the rounds to come are written once. Throws IoError.
std::unique_ptr<EventFile> begin_events(const std::filesystem::path& folder, const EventSizes& kept);

}  // namespace federate
