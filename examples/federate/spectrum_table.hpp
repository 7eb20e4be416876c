#pragma once
// The files of federate spectrum.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <loru/io/csv.hpp>
#include <loru/spectrum/measure.hpp>
#include <loru/spectrum/span.hpp>

namespace federate {

using loru::Index;

/// One operator on one data set.
struct SpectrumPoint {
  Index round = 0;
  std::optional<Index> client = {};  // none: the server
  Index samples = 0;
  std::string name = {};   // of the operator
  std::string layer = {};  // empty: all
};

/// What was measured there.
struct SpectrumValue {
  loru::spectrum::Spectrum spectrum;
  std::optional<loru::spectrum::Span> span = {};
};

/// spectrum.csv, density.csv and span.csv in a folder. A point's row in spectrum.csv is written last, so a
/// point that has one is whole.
class SpectrumTable {
 public:
  /// Goes on with the points in the folder if its `spectrum.toml` is `settings`; begins anew otherwise.
  /// `span` says whether there is a span.csv; `outputs` is the share that it gives the top eigenvalues of.
  SpectrumTable(const std::filesystem::path& folder, const std::string& settings, bool span, Index outputs);

  bool has(const SpectrumPoint& point) const;
  void add(const SpectrumPoint& point, const SpectrumValue& value);

  /// The stable ranks of the server and of the clients, side by side, as Markdown.
  std::string summary() const;

 private:
  struct Row {
    double stable_rank, error;
  };
  using Key = std::string;  // the fields of a point, joined by commas

  void read(const std::filesystem::path& folder);

  Index outputs_;
  std::map<Key, Row> found_;
  std::vector<std::pair<SpectrumPoint, Row>> rows_;  // in the file's order
  std::optional<loru::io::CsvWriter> spectrum_, density_, span_;
};

}  // namespace federate
