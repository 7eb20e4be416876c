#pragma once
// What a report is made of, read from the folders of runs, comparisons, sweeps and spectra.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <loru/core/shape.hpp>
#include <loru/io/csv.hpp>

#include "../settings.hpp"

namespace federate::report {

using loru::Index, loru::io::CsvTable;

/// One run.
struct Run {
  std::filesystem::path folder;
  std::string config;  // config.toml
  Settings settings;
  std::map<std::string, double> numbers;  // of summary.json; those within objects as personal_accuracy.mean
  std::map<std::string, std::string> words;  // its texts, likewise
  std::vector<double> merge_rounds;
  CsvTable rounds;
  std::optional<CsvTable> clients;  // older runs have no clients.csv

  std::optional<double> number(const std::string& name) const;
  Index seed() const;
  /// It came to its last round, or as far as stop_at wanted.
  bool whole() const;
};

/// Runs of one configuration with different seeds.
struct Group {
  std::string name;
  std::vector<Run> runs;
  bool alone = false;  // there is no other group

  /// Those that means are taken of: the whole ones, or all where none is and there is nothing to compare
  /// with.
  std::vector<const Run*> counted() const;
};

struct Spectrum {
  std::string name;
  CsvTable values;
  std::optional<CsvTable> density;
  std::optional<std::string> config;
};

struct Input {
  std::vector<Group> groups;
  std::vector<CsvTable> sweeps;  // sweep.csv as it is
  std::vector<Spectrum> spectra;
};

/// Reads each folder for what its files say it is. Throws ConfigError for a folder that is nothing of all
/// that and for runs that do not compare, DataError for broken files, IoError.
Input read(const std::vector<std::string>& folders);

/// A field as a number, nothing if it is empty. Throws DataError with file and line.
std::optional<double> number_in(const CsvTable& table, std::size_t row, const std::string& column);

bool has_column(const CsvTable& table, const std::string& column);

}  // namespace federate::report
