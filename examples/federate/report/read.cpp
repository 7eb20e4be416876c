#include "read.hpp"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "../run_folder.hpp"

namespace federate::report {

namespace fs = std::filesystem;
using loru::concat, loru::ConfigError, loru::DataError, loru::require;

namespace {

// ---- one run ----

void flatten(const nlohmann::json& json, const std::string& prefix, Run& run) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) flatten(value, concat(prefix, key, '.'), run);
    if (value.is_number()) run.numbers[prefix + key] = value.get<double>();
    if (value.is_string()) run.words[prefix + key] = value.get<std::string>();
  }
}

void read_summary(const fs::path& path, Run& run) {
  try {
    const auto json = nlohmann::json::parse(loru::io::read_text(path));
    require<DataError>(json.is_object(), path.native(), ": expected a run's summary, got ", json.type_name());
    flatten(json, "", run);
    for (const char* key : {"rounds", "seed", "uplink_bytes", "downlink_bytes"})
      require<DataError>(run.numbers.contains(key), path.native(), ": expected a number '", key, "'");
    if (json.contains("merge_rounds")) run.merge_rounds = json.at("merge_rounds").get<std::vector<double>>();
  } catch (const nlohmann::json::exception& error) {
    loru::fail<DataError>(path.native(), ": expected a run's summary: ", error.what());
  }
}

std::optional<CsvTable> csv_if_there(const fs::path& path) {
  return fs::exists(path) ? std::optional(loru::io::read_csv(path)) : std::nullopt;
}

Run read_run(const fs::path& folder) {
  const fs::path config = folder / "config.toml";
  Run run{.folder = folder,
          .config = loru::io::read_text(config),
          .settings = read_settings(config.string()),
          .numbers = {},
          .words = {},
          .merge_rounds = {},
          .rounds = loru::io::read_csv(folder / "rounds.csv"),
          .clients = csv_if_there(folder / "clients.csv")};
  read_summary(folder / "summary.json", run);
  return run;
}

// ---- what a folder is ----

bool is_whole_run(const fs::path& folder) {
  return fs::exists(folder / "config.toml") && fs::exists(folder / "rounds.csv") &&
         fs::exists(folder / "summary.json");
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory()) found.push_back(entry.path());
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) {
    return natural_before(a.filename().string(), b.filename().string());
  });
  return found;
}

/// The <name> of a comparison's or a sweep's folders <name>/seed-<n>, in the order of its table.
std::vector<std::string> names_in(const fs::path& folder, bool sweep) {
  const CsvTable table = loru::io::read_csv(folder / (sweep ? "runs.csv" : "compare.csv"));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const std::string name =
        sweep ? fs::path(table.text(i, "folder")).parent_path().string() : table.text(i, "name");
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  return names;
}

/// The name of a run that stands alone: of its folder, or of the folder above if that is seed-<n>.
std::string own_name(const fs::path& folder) {
  const fs::path path = fs::absolute(folder / "").lexically_normal().parent_path();
  return (path.filename().string().starts_with("seed-") ? path.parent_path() : path).filename().string();
}

// ---- groups ----

/// What says that two runs are of one configuration.
Settings without_seed(const Settings& settings) {
  Settings own = settings;
  std::erase_if(own, [](const auto& setting) {
    const std::string& key = setting.first;
    return key == "seed" || key == "device.name" || key == "device.index" || key == "data.dir" ||
           key == "federation.client_state" || key.starts_with("lowrank.rates") ||
           key.starts_with("tracking.");
  });
  return own;
}

/// Adds the run to the group of its configuration, or begins one. Named groups take runs of their own name
/// alone.
void add(std::vector<Group>& groups, Run run, const std::string& name, bool named) {
  const auto takes = [&](const Group& group) {
    if (named && group.name != name) return false;
    const auto same_seed = [&](const Run& other) { return other.seed() == run.seed(); };
    return without_seed(group.runs[0].settings) == without_seed(run.settings) &&
           std::none_of(group.runs.begin(), group.runs.end(), same_seed);
  };
  const auto found = std::find_if(groups.begin(), groups.end(), takes);
  Group& group = found == groups.end() ? groups.emplace_back(Group{name, {}}) : *found;
  group.runs.push_back(std::move(run));
}

/// The groups of a comparison or a sweep, FOLDER/<name>/seed-<n>/, in the order of its table. A run without
/// its summary is still being written.
std::vector<Group> read_groups(const fs::path& folder, bool sweep) {
  std::vector<Group> groups;
  for (const std::string& name : names_in(folder, sweep))
    if (fs::is_directory(folder / name))
      for (const fs::path& run : folders_in(folder / name))
        if (is_whole_run(run)) add(groups, read_run(run), name, true);
  require<ConfigError>(!groups.empty(), folder.native(), ": expected runs in NAME/seed-N/, found none");
  return groups;
}

/// Throws ConfigError unless the runs have the same data, clients, cohorts and evaluation; `except` may
/// differ.
void require_comparable(const Run& first, const Run& run, const std::set<std::string>& except) {
  const auto common = [&](Settings settings) {
    std::erase_if(settings, [&](const auto& setting) {
      const std::string& key = setting.first;
      return !has_to_agree(key) || key == "data.dir" || except.contains(key);
    });
    return settings;
  };
  require_equal(common(first.settings), first.folder.string(), common(run.settings),
                concat("report: ", run.folder.string()));
}

/// The keys in which the groups of a sweep differ.
std::set<std::string> keys_that_differ(const std::vector<Group>& groups) {
  std::set<std::string> keys;
  for (const Group& group : groups)
    for (const auto& [key, value] : group.runs[0].settings)
      if (const auto& first = groups[0].runs[0].settings; !first.contains(key) || first.at(key) != value)
        keys.insert(key);
  return keys;
}

/// Groups of one name are told apart by their folders.
void tell_apart(std::vector<Group>& groups) {
  std::map<std::string, int> count;
  for (const Group& group : groups) ++count[group.name];
  for (Group& group : groups)
    if (count[group.name] > 1) group.name = group.runs[0].folder.string();
}

std::optional<Spectrum> read_spectrum(const fs::path& folder) {
  auto values = csv_if_there(folder / "spectrum.csv");
  if (!values) return std::nullopt;
  require<ConfigError>(!values->rows.empty(), (folder / "spectrum.csv").native(),
                       ": expected rows, found none");
  const fs::path config = folder / "spectrum.toml";
  return Spectrum{own_name(folder), *std::move(values), csv_if_there(folder / "density.csv"),
                  fs::exists(config) ? std::optional(loru::io::read_text(config)) : std::nullopt};
}

}  // namespace

std::optional<double> Run::number(const std::string& name) const {
  const auto found = numbers.find(name);
  return found == numbers.end() ? std::nullopt : std::optional(found->second);
}

Index Run::seed() const { return static_cast<Index>(numbers.at("seed")); }

bool Run::whole() const {
  const auto wanted = loru::parse_number<Index>(settings.at("federation.rounds"));
  return wanted == static_cast<Index>(numbers.at("rounds")) || numbers.contains("stopped_after");
}

std::vector<const Run*> Group::counted() const {
  const bool any_whole = std::any_of(runs.begin(), runs.end(), [](const Run& run) { return run.whole(); });
  std::vector<const Run*> chosen;
  for (const Run& run : runs)
    if (run.whole() || (alone && !any_whole)) chosen.push_back(&run);
  return chosen;
}

Input read(const std::vector<std::string>& folders) {
  Input input;
  std::set<std::string> swept;
  for (const std::string& name : folders) {
    const fs::path folder = name;
    const auto sweep = csv_if_there(folder / "sweep.csv");
    const bool comparison = fs::exists(folder / "compare.csv");
    auto spectrum = read_spectrum(folder);
    require<ConfigError>(
        is_whole_run(folder) || sweep || comparison || spectrum, name,
        ": expected the folder of a run (config.toml, rounds.csv, summary.json), a comparison "
        "(compare.csv), a sweep (sweep.csv) or a spectrum (spectrum.csv)");
    if (spectrum) input.spectra.push_back(*std::move(spectrum));
    if (is_whole_run(folder)) add(input.groups, read_run(folder), own_name(folder), false);
    if (!sweep && !comparison) continue;
    std::vector<Group> groups = read_groups(folder, sweep.has_value());
    if (sweep) swept.merge(keys_that_differ(groups));
    if (sweep) input.sweeps.push_back(*sweep);
    std::move(groups.begin(), groups.end(), std::back_inserter(input.groups));
  }
  for (const Group& group : input.groups)
    for (const Run& run : group.runs) require_comparable(input.groups[0].runs[0], run, swept);
  if (input.groups.size() == 1) input.groups[0].alone = true;
  tell_apart(input.groups);
  return input;
}

std::optional<double> number_in(const CsvTable& table, std::size_t row, const std::string& column) {
  const std::string& field = table.text(row, column);
  if (field.empty()) return std::nullopt;
  const auto value = loru::parse_number<double>(field);
  require<DataError>(value.has_value(), table.origin, ": line ", row + 2, ", column '", column,
                     "': expected a number, got '", field, "'");
  return value;
}

bool has_column(const CsvTable& table, const std::string& column) {
  return std::find(table.columns.begin(), table.columns.end(), column) != table.columns.end();
}

}  // namespace federate::report
