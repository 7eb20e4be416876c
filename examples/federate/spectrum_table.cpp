#include "spectrum_table.hpp"

#include <cmath>
#include <cstdio>
#include <set>
#include <tuple>

#include <loru/io/file.hpp>

namespace federate {

namespace fs = std::filesystem;
using loru::concat;
using Strings = std::vector<std::string>;
using Fields = std::vector<loru::io::CsvField>;

namespace {

const Strings point_columns{"round", "who", "client", "samples", "operator", "layer"};

Strings columns(const Strings& own) {
  Strings all = point_columns;
  all.insert(all.end(), own.begin(), own.end());
  return all;
}

const Strings& spectrum_columns() {
  static const Strings all =
      columns({"norm", "norm_residual", "frobenius2", "frobenius2_error", "trace", "stable_rank",
               "stable_rank_error", "effective_rank", "entropy_rank", "outliers", "gradients"});
  return all;
}

Fields fields(const SpectrumPoint& p) {
  return {p.round, p.client ? "client" : "server", p.client, p.samples, p.name, p.layer};
}

std::string key(const SpectrumPoint& p) {
  return concat(p.round, ',', p.client ? "client" : "server", ',', p.client ? std::to_string(*p.client) : "",
                ',', p.samples, ',', p.name, ',', p.layer);
}

std::string key(const Strings& row) {
  std::string text = row[0];
  for (std::size_t i = 1; i < point_columns.size(); ++i) text += ',' + row[i];
  return text;
}

/// The writer of a table that begins with the rows of these points of the table that is there.
template <class Kept>
loru::io::CsvWriter carried_on(const fs::path& path, const Strings& columns, const Kept& kept) {
  const fs::path next = path.native() + ".next";
  if (fs::exists(path)) {
    const loru::io::CsvTable old = loru::io::read_csv(path);
    loru::require<loru::DataError>(old.columns == columns, path.native(),
                                   ": expected the columns of this version");
    loru::io::CsvWriter writer(next, columns);
    for (const Strings& row : old.rows)
      if (kept.contains(key(row))) writer.row(Fields(row.begin(), row.end()));
  } else {
    loru::io::CsvWriter(next, columns);
  }
  fs::rename(next, path);
  return {path, columns, loru::io::Existing::append};
}

}  // namespace

SpectrumTable::SpectrumTable(const fs::path& folder, const std::string& settings, bool span, Index outputs)
    : outputs_{outputs} {
  loru::io::make_directories(folder);
  const fs::path file = folder / "spectrum.toml";
  const bool goes_on = fs::exists(file) && loru::io::read_text(file) == settings;
  if (!goes_on)
    for (const char* name : {"spectrum.toml", "spectrum.csv", "density.csv", "span.csv", "summary.md"})
      fs::remove(folder / name);
  if (goes_on) read(folder);
  spectrum_.emplace(carried_on(folder / "spectrum.csv", spectrum_columns(), found_));
  density_.emplace(carried_on(folder / "density.csv", columns({"eigenvalue", "weight"}), found_));
  if (span)
    span_.emplace(carried_on(folder / "span.csv", columns({"participation", "top", "products"}), found_));
  loru::io::write_file(file, settings);
}

void SpectrumTable::read(const fs::path& folder) {
  const fs::path path = folder / "spectrum.csv";
  if (!fs::exists(path)) return;
  const loru::io::CsvTable table = loru::io::read_csv(path);
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    SpectrumPoint p{.round = table.number<Index>(i, "round").value_or(0),
                    .client = table.number<Index>(i, "client"),
                    .samples = table.number<Index>(i, "samples").value_or(0),
                    .name = table.text(i, "operator"),
                    .layer = table.text(i, "layer")};
    const Row row{table.number(i, "stable_rank").value_or(0.0),
                  table.number(i, "stable_rank_error").value_or(0.0)};
    found_.emplace(key(p), row);
    rows_.emplace_back(std::move(p), row);
  }
}

bool SpectrumTable::has(const SpectrumPoint& point) const { return found_.contains(key(point)); }

void SpectrumTable::add(const SpectrumPoint& point, const SpectrumValue& value) {
  const loru::spectrum::Spectrum& s = value.spectrum;
  const auto row = [&](auto... own) {
    Fields all = fields(point);
    (all.emplace_back(own), ...);
    return all;
  };
  for (const auto& node : s.density) density_->row(row(node.eigenvalue, node.weight));
  if (span_ && value.span)
    span_->row(row(value.span->participation(), value.span->top(outputs_), value.span->products));
  spectrum_->row(row(s.norm, s.norm_residual, s.frobenius2, s.frobenius2_error, s.trace, s.stable_rank,
                     s.stable_rank_error, s.effective_rank, s.entropy_rank, s.outliers, s.gradients));
  const Row measured{s.stable_rank, s.stable_rank_error};
  found_.emplace(key(point), measured);
  rows_.emplace_back(point, measured);
}

namespace {

/// Server and clients at one place.
struct Group {
  std::optional<double> server = {};
  double server_error = 0.0;
  Index server_samples = 0;
  std::vector<double> clients = {};
  std::set<Index> samples = {};  // of a client
};

std::string row_of(const std::tuple<Index, std::string, std::string, Index>& place, const Group& g) {
  const auto& [round, name, layer, order] = place;
  const double n = static_cast<double>(g.clients.size());
  double mean = 0.0, ratio = 0.0, spread = 0.0;
  for (const double x : g.clients) mean += x / n;
  for (const double x : g.clients) ratio += g.server ? std::log(x / *g.server) / n : 0.0;
  for (const double x : g.clients) spread += g.server ? std::pow(std::log(x / *g.server) - ratio, 2.0) : 0.0;
  const double error = n > 1.0 ? std::sqrt(spread / (n - 1.0) / n) : 0.0;
  const auto number = [](const char* pattern, auto... x) {
    char text[96];
    std::snprintf(text, sizeof text, pattern, x...);
    return std::string(text);
  };
  std::string client = "", difference = "";
  if (!g.clients.empty()) client = number("%.4g", mean);
  if (!g.clients.empty() && g.server)
    difference = number("%+.1f %% ± %.1f", 100.0 * std::expm1(ratio), 100.0 * std::exp(ratio) * error);
  const std::string samples = g.samples.size() > 1 ? concat(*g.samples.begin(), " to ", *g.samples.rbegin())
                              : g.samples.empty()  ? ""
                                                   : std::to_string(*g.samples.begin());
  return concat("| ", round, " | ", name, " | ", layer, " | ", samples, " | ", g.server_samples, " | ",
                g.server ? number("%.4g ± %.2g", *g.server, g.server_error) : "", " | ", client, " | ",
                difference, " |\n");
}

}  // namespace

std::string SpectrumTable::summary() const {
  std::map<std::tuple<Index, std::string, std::string, Index>, Group> groups;
  std::map<std::tuple<Index, std::string, std::string>, Index> server;  // samples of the server row just read
  for (const auto& [p, row] : rows_) {
    if (!p.client) server[{p.round, p.name, p.layer}] = p.samples;
    Group& g = groups[{p.round, p.name, p.layer, server[{p.round, p.name, p.layer}]}];
    if (p.client) {
      g.clients.push_back(row.stable_rank);
      g.samples.insert(p.samples);
    } else {
      g.server = row.stable_rank;
      g.server_error = row.error;
      g.server_samples = p.samples;
    }
  }
  std::string text =
      "Stable rank ‖H‖²_F / ‖H‖₂². Difference: of the clients' geometric mean from the server's value, with "
      "its "
      "standard error over the clients.\n\n"
      "| round | operator | layer | samples a client | of the server | server | clients, mean | difference "
      "|\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const auto& [place, group] : groups) text += row_of(place, group);
  return text;
}

}  // namespace federate
