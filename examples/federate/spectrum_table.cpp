#include "spectrum_table.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <loru/io/file.hpp>

#include "output.hpp"
#include "table.hpp"

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

/// A table without the row that a full disk or a power failure may have cut off.
loru::io::CsvTable whole_rows(const fs::path& path) {
  std::string text = loru::io::read_text(path);
  text.resize(text.rfind('\n') + 1);
  return loru::io::parse_csv(text, path.native());
}

/// Hashes of models in what comes after the settings in spectrum.toml: lines `round = "hash"`.
std::map<Index, std::string> read_hashes(const std::string& text) {
  std::map<Index, std::string> all;
  std::istringstream lines(text);
  Index round = 0;
  for (std::string equals, quoted; lines >> round >> equals >> quoted;)
    all.emplace(round, quoted.substr(1, quoted.size() - 2));
  return all;
}

/// The writer of a table that begins with the rows of these points of the table that is there.
template <class Kept>
loru::io::CsvWriter carried_on(const fs::path& path, const Strings& columns, const Kept& kept) {
  const fs::path next = path.native() + ".next";
  if (fs::exists(path)) {
    const loru::io::CsvTable old = whole_rows(path);
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

SpectrumTable::SpectrumTable(const fs::path& folder, const std::string& settings,
                             const std::map<Index, std::string>& hashes, bool span, Index outputs)
    : outputs_{outputs} {
  loru::io::make_directories(folder);
  const fs::path file = folder / "spectrum.toml";
  const std::string head = settings + "\n[spectrum.models]  # SHA-256 by round\n",
                    before = fs::exists(file) ? loru::io::read_text(file) : std::string();
  bool goes_on = before.starts_with(head);
  auto all = goes_on ? read_hashes(before.substr(head.size())) : std::map<Index, std::string>();
  for (const auto& [round, hash] : hashes) goes_on &= all.emplace(round, hash).first->second == hash;
  if (goes_on) {
    read(folder);
  } else {
    all = hashes;
    for (const char* name :
         {"spectrum.toml", "spectrum.csv", "density.csv", "span.csv", "summary.md", "report.html"})
      remove_earlier(folder / name);
  }
  spectrum_.emplace(carried_on(folder / "spectrum.csv", spectrum_columns(), found_));
  density_.emplace(carried_on(folder / "density.csv", columns({"eigenvalue", "weight"}), found_));
  if (span)
    span_.emplace(carried_on(folder / "span.csv", columns({"participation", "top", "products"}), found_));
  std::string text = head;
  for (const auto& [round, hash] : all) text += concat(round, " = \"", hash, "\"\n");
  loru::io::write_file(file, text);
}

void SpectrumTable::read(const fs::path& folder) {
  const fs::path path = folder / "spectrum.csv";
  if (!fs::exists(path)) return;
  const loru::io::CsvTable table = whole_rows(path);
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    SpectrumPoint p{.round = table.number<Index>(i, "round").value_or(0),
                    .client = table.number<Index>(i, "client"),
                    .samples = table.number<Index>(i, "samples").value_or(0),
                    .name = table.text(i, "operator"),
                    .layer = table.text(i, "layer")};
    found_.emplace(key(p), Row{table.number(i, "stable_rank").value_or(0.0),
                               table.number(i, "stable_rank_error").value_or(0.0)});
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
  found_.emplace(key(point), Row{s.stable_rank, s.stable_rank_error});
}

namespace {

/// "20", "9 to 25", nothing without clients.
std::string samples_text(const std::vector<SpectrumPoint>& clients) {
  const auto [least, most] = std::ranges::minmax_element(clients, {}, &SpectrumPoint::samples);
  if (least == clients.end()) return "";
  return least->samples == most->samples ? std::to_string(least->samples)
                                         : concat(least->samples, " to ", most->samples);
}

}  // namespace

Strings SpectrumTable::cells(const SpectrumGroup& group) const {
  const auto row = [&](const SpectrumPoint& p) { return found_.at(key(p)); };
  const Row server = row(group.server);
  std::vector<double> ranks, ratios;  // of each client; the logarithm of its ratio to the server
  for (const SpectrumPoint& client : group.clients) {
    ranks.push_back(row(client).stable_rank);
    if (ranks.back() > 0.0 && server.stable_rank > 0.0)
      ratios.push_back(std::log(ranks.back() / server.stable_rank));
  }
  const Statistic clients = statistic(ranks), ratio = statistic(ratios);
  std::string difference;
  if (ratio.mean && ratios.size() == ranks.size()) {
    const double relative = std::exp(*ratio.mean), count = static_cast<double>(ratios.size());
    difference = (relative > 1.0 ? "+" : "") + fixed(relative - 1.0, 100.0, 1) + " %";
    if (ratio.deviation)
      difference += " ± " + fixed(relative * *ratio.deviation / std::sqrt(count), 100.0, 1);
  }
  const SpectrumPoint& p = group.server;
  return {std::to_string(p.round),
          p.name,
          p.layer,
          samples_text(group.clients),
          std::to_string(p.samples),
          concat(fixed(server.stable_rank, 1.0, 2), " ± ", short_number(server.error)),
          fixed(clients.mean, 1.0, 2),
          difference};
}

std::string SpectrumTable::summary(const std::vector<SpectrumGroup>& groups) const {
  std::vector<Strings> table{{"round", "operator", "layer", "samples a client", "of the server", "server",
                              "clients, mean", "difference"}};
  for (const SpectrumGroup& group : groups) table.push_back(cells(group));
  return "Stable rank ‖H‖²_F / ‖H‖₂². Difference: of the clients' geometric mean from the server's value, "
         "with its standard error over the clients.\n\n" +
         aligned(table);
}

}  // namespace federate
