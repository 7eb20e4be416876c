#pragma once
// The progress of a run: a bar on a terminal, plain lines elsewhere, nothing with --quiet.

#include <chrono>
#include <string>

#include "output.hpp"

namespace federate {

/// Bytes for people: "6.65 MB".
std::string human_bytes(double bytes);
/// Seconds for people: "3.2 s", "48 s", "2:05", "1:02:05".
std::string human_time(double seconds);
/// A count for people: "1,663,370".
std::string human_count(Index count);

/// A metric for people: "accuracy 97.12 %", "r2 0.8714".
std::string human_metric(const loru::train::Metric& metric, double value);

/// Metrics and loss for people: "accuracy 97.12 %  loss 0.1034".
std::string human_metrics(const std::vector<loru::train::Metric>& metrics, const std::vector<double>& values,
                          double loss, const char* between = "  ");

/// Why a run ended after so many rounds of `all`, in a line; empty for success. `failure` is what went wrong
/// if it failed; without a folder nothing is in it.
std::string problem_of(ExitCode code, Index rounds, Index all, const std::string& failure,
                       const std::string& folder);

/// Columns of the terminal.
std::size_t terminal_width();

class Progress {
 public:
  Progress(bool quiet, Index rounds, std::vector<loru::train::Metric> metrics);

  /// The rounds that were run before; the time that is left follows from the others.
  void begin_after(Index rounds) { before_ = rounds; }
  /// A line of its own.
  void line(const std::string& text);
  /// Draws the bar, if there is one, as it stands.
  void draw(const Totals& totals);
  void round(const loru::fl::Round& round, const Totals& totals);
  /// How the run went, in lines.
  void outcome(const Totals& totals, const Outcome& outcome, const std::optional<double>& stop_at);
  /// Ends the bar, so that what follows begins a new line.
  void end();

 private:
  std::string bar(const Totals& totals) const;

  enum class Kind { none, lines, bar } kind_;
  Index rounds_, before_ = 0;
  std::vector<loru::train::Metric> metrics_;
  std::string tested_;  // how the last round evaluated did
  bool open_ = false;   // whether the cursor stands in a bar
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace federate
