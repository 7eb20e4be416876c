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

/// The server's data set at one place, and those of the clients that it is the union of.
struct SpectrumGroup {
  SpectrumPoint server;
  std::vector<SpectrumPoint> clients = {};
};

/// What was measured at a point.
struct SpectrumValue {
  loru::spectrum::Spectrum spectrum;
  std::optional<loru::spectrum::Span> span = {};
};

/// spectrum.csv, density.csv and span.csv in a folder. A point's row in spectrum.csv is written last, so a
/// point that has one is whole.
class SpectrumTable {
 public:
  /// Goes on with the points in the folder if its `spectrum.toml` has these settings and, for rounds that
  /// both have, these hashes of models; begins anew otherwise. `span` says whether there is a span.csv;
  /// `outputs` is the number of top eigenvalues whose share it gives.
  SpectrumTable(const std::filesystem::path& folder, const std::string& settings,
                const std::map<Index, std::string>& hashes, bool span, Index outputs);

  bool has(const SpectrumPoint& point) const;
  void add(const SpectrumPoint& point, const SpectrumValue& value);

  /// The stable ranks of the server and of the clients, side by side, as Markdown. All points are there.
  std::string summary(const std::vector<SpectrumGroup>& groups) const;

 private:
  struct Row {
    double stable_rank, error;
  };
  using Key = std::string;  // the fields of a point, joined by commas

  void read(const std::filesystem::path& folder);
  std::vector<std::string> cells(const SpectrumGroup& group) const;

  Index outputs_;
  std::map<Key, Row> found_;
  std::optional<loru::io::CsvWriter> spectrum_, density_, span_;
};

}  // namespace federate
