#include "output.hpp"

#include <sys/resource.h>

#include <cmath>
#include <numeric>

#include <nlohmann/json.hpp>
#include <loru/version.hpp>

#include "digest.hpp"
#include "machine.hpp"
#include "tensorboard.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::IoError, loru::require;

namespace {

const char* const config_file = "config.toml";
const char* const rounds_file = "rounds.csv";
const char* const model_file = "model.safetensors";
const char* const best_file = "best.safetensors";
const char* const summary_file = "summary.json";
const char* const clients_file = "clients.csv";
const char* const kept_rounds = "rounds";
const char* const merges_folder = "merges";
const char* const checkpoints_folder = "checkpoint";
const char* const states_folder = "clients";

/// Removes what killed runs have left half-written.
void remove_temporaries(const fs::path& folder) {
  loru::io::remove_temporaries(folder);
  for (const char* name : {checkpoints_folder, states_folder, kept_rounds, merges_folder})
    loru::io::remove_temporaries(folder / name);
}

/// Removes the files of the rounds after `last`, and the folder if nothing else is in it.
void forget_rounds(const fs::path& folder, Index last) {
  std::error_code code;
  for (const auto& [round, file] : files_of_rounds(folder))
    if (round > last) fs::remove(file, code);
  if (fs::is_directory(folder, code)) fs::remove(folder, code);
}

/// Removes the event files, and the folder if nothing else is in it.
void forget_events(const fs::path& folder) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code))
    if (is_event_file(entry.path())) fs::remove(entry.path(), code);
  if (fs::is_directory(folder, code)) fs::remove(folder, code);
}

/// The folder, empty of a run's files but for those that a run which goes on has of its rounds up to `last`,
/// and the configuration of one that begins again: without it there is no run, so it goes first and comes
/// last. What cannot be listed is refused before anything is removed.
fs::path prepare(const fs::path& folder, Begin begin, Index last) {
  loru::io::make_directories(folder);
  for (const char* name : {kept_rounds, merges_folder, checkpoints_folder}) files_of_rounds(folder / name);
  remove_temporaries(folder);
  if (begin == Begin::anew && fs::exists(fs::symlink_status(folder / config_file))) {
    remove_earlier(folder / config_file);
    loru::io::synchronise_folder(folder);
  }
  for (const char* name : {summary_file, model_file, best_file, clients_file}) remove_earlier(folder / name);
  remove_earlier(folder / characters_file);
  for (const char* name : {kept_rounds, merges_folder}) forget_rounds(folder / name, last);
  if (begin == Begin::going_on) return folder;
  remove_earlier(folder / rounds_file);
  forget_rounds(folder / checkpoints_folder, last);
  forget_events(folder / events_folder);
  loru::fl::DiskStore(folder / states_folder).clear();
  return folder;
}

std::uint64_t peak_rss_bytes() {
  struct ::rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

/// What wrote the summary, and where.
void add_origin(nlohmann::ordered_json& json) {
  const Machine machine = this_machine();
  json["machine"] = {{"cpu", machine.cpu}, {"cores", machine.cores}};
  json["loru_version"] = loru::version;
}

/// What the run was and what it took.
nlohmann::ordered_json run_summary(const Configuration& c, const ParameterCount& parameters,
                                   const Totals& totals, const Outcome& outcome) {
  const auto turns = static_cast<std::uint64_t>(std::max<Index>(totals.cohorts, 1));
  return {{"algorithm", c.algorithm},
          {"dataset", c.data.name},
          {"model", c.model},
          {"rounds", totals.rounds},
          {"clients", *c.clients},
          {"cohort", cohort_size(c)},
          {"seed", c.seed},
          {"device", c.device},
          {"threads", outcome.threads},
          {"executor", outcome.executor},
          {"ranks", outcome.ranks},
          {"turns_by_rank", totals.turns_by_rank},
          {"state_bytes", totals.state_bytes},
          {"dropped", totals.dropped},
          {"rejected", totals.rejected},
          {"final_test_accuracy", outcome.test.accuracy},
          {"best_test_accuracy", std::isnan(outcome.test.accuracy)
                                     ? outcome.test.accuracy  // null: the task has none
                                     : std::max(totals.best_test_accuracy, outcome.test.accuracy)},
          {"final_test_loss", outcome.test.loss},
          {"merges", outcome.merges},
          {"update_rank", nlohmann::ordered_json(outcome.update_rank)},
          {"uplink_bytes", totals.uplink_bytes},
          {"downlink_bytes", totals.downlink_bytes},
          {"uplink_bytes_per_client_round", totals.uplink_bytes / turns},
          {"parameters_total", parameters.total},
          {"parameters_trained", parameters.trained},
          {"wall_seconds", outcome.wall_seconds},
          {"train_seconds", totals.train_seconds},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"model_sha256", outcome.model_sha256}};
}

/// Metrics other than accuracy, which run_summary() has.
void add_metrics(nlohmann::ordered_json& json, const Configuration& c, const Outcome& outcome) {
  const auto names = metrics(c);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i].name != "accuracy")
      json[loru::concat("final_test_", names[i].name)] = outcome.test.metrics[i];
  for (std::size_t i = 0; i < outcome.validation.size(); ++i)
    json[loru::concat("final_validation_", names[i].name)] = outcome.validation[i];
}

void add_personal(nlohmann::ordered_json& json, const Outcome& outcome) {
  if (const auto& p = outcome.personal)
    json["personal_accuracy"] = {{"mean", p->mean},
                                 {"worst_decile", p->worst_decile},
                                 {"global_mean", p->global_mean},
                                 {"global_worst_decile", p->global_worst_decile}};
  for (const auto& [layer, o] : outcome.overlap)
    json["personal_updates"][layer] = {
        {"global_norm", o.global_norm}, {"personal_norm", o.personal_norm}, {"cosine", o.cosine}};
}

nlohmann::ordered_json summary_of(const Setup& setup, Model& model, const Totals& totals,
                                  const Outcome& outcome) {
  const Configuration& c = setup.configuration;
  const ParameterCount parameters = count_parameters(model);
  nlohmann::ordered_json json = run_summary(c, parameters, totals, outcome);
  if (parameters.in_blocks > 0) {
    json["parameters_in_blocks"] = parameters.in_blocks;
    json["parameter_bytes"] = parameters.bytes;
  }
  add_metrics(json, c, outcome);
  if (c.task != "classification") json["task"] = c.task;
  if (outcome.best_round) json["best_round"] = *outcome.best_round;
  if (outcome.stopped_after) json["stopped_after"] = *outcome.stopped_after;
  if (outcome.diverged) json["diverged"] = true;
  if (outcome.graph_launches) json["graph_launches"] = *outcome.graph_launches;
  add_personal(json, outcome);
  for (const auto& [layer, sum] : totals.aggregation_error)
    json["aggregation_error"][layer] = sum / static_cast<double>(totals.measured);
  json["merge_rounds"] = totals.merge_rounds;
  add_origin(json);
  return json;
}

/// How many of the samples have each label.
std::vector<Index> label_counts(const loru::data::Dataset& data, const std::vector<Index>& samples) {
  std::vector<Index> counts(static_cast<std::size_t>(data.classes));
  for (const Index i : samples) ++counts[static_cast<std::size_t>(data.label(i))];
  return counts;
}

/// clients.csv: a line for each of the first clients and for those whose accuracies were measured; labels
/// where targets are classes.
void write_clients(const fs::path& path, const loru::data::Dataset& data, const loru::data::Partition& parts,
                   const std::optional<loru::fl::PersonalAccuracy>& personal) {
  std::map<Index, loru::fl::ClientAccuracy> measured;
  if (personal)
    for (const auto& accuracy : personal->each) measured[accuracy.client] = accuracy;
  const bool labelled = std::holds_alternative<loru::data::Labels>(data.targets);
  std::vector<std::string> columns{"client", "samples", "personal_accuracy", "global_accuracy"};
  for (Index c = 0; labelled && c < data.classes; ++c) columns.push_back(loru::concat("label_", c));
  std::string text = loru::io::CsvWriter::line({columns.begin(), columns.end()});
  std::vector<Index> listed(static_cast<std::size_t>(std::min(parts.clients(), most_clients_listed)));
  std::iota(listed.begin(), listed.end(), Index{0});
  for (auto it = measured.lower_bound(std::ssize(listed)); it != measured.end(); ++it)
    listed.push_back(it->first);
  for (const Index k : listed) {
    const auto found = measured.find(k);
    std::vector<loru::io::CsvField> fields{k, parts.size(k), std::nullopt, std::nullopt};
    if (found != measured.end()) fields[2] = found->second.own, fields[3] = found->second.global;
    if (labelled)
      for (const Index count : label_counts(data, parts.samples(k))) fields.emplace_back(count);
    text += loru::io::CsvWriter::line(fields);
  }
  loru::io::write_file(path, text);
}

}  // namespace

std::string summary_text(const Setup& setup, Model& model, const Totals& totals, const Outcome& outcome) {
  return summary_of(setup, model, totals, outcome).dump(2) + '\n';
}

std::string config_text(const Setup& setup) {
  std::string text =
      "# Everything that this run was told or took as its default; running it again gives the same model.\n";
  if (!setup.plans.empty())
    text += "# Graphs of the factored layers, which follow from their shapes and the batch:\n";
  for (const LayerPlan& plan : setup.plans)
    text += loru::concat("# plan ", plan.layer, ": ", to_string(plan.plan), '\n');
  return text + '\n' + to_toml(setup.configuration);
}

std::map<Index, fs::path> files_of_rounds(const fs::path& folder) {
  std::error_code code;
  std::map<Index, fs::path> files;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const fs::path& file = entry->path();
    if (const auto round = loru::parse_number<Index>(file.stem().string());
        round && file.extension() == ".safetensors")
      files[*round] = file;
  }
  require<IoError>(!code || code == std::errc::no_such_file_or_directory, folder.native(),
                   ": cannot list: ", code.message());
  return files;
}

void remove_earlier(const fs::path& file) {
  std::error_code code;
  const fs::file_status status = fs::symlink_status(file, code);
  require<IoError>(!fs::is_directory(status), file.native(),
                   ": cannot write: expected a file, found a folder");
  fs::remove(file, code);
  require<IoError>(!code, file.native(), ": cannot replace: ", code.message());
}

void Totals::add(const loru::fl::Round& round) {
  rounds = round.index;
  cohorts += static_cast<Index>(round.cohort.size());
  uplink_bytes += round.uplink_bytes;
  downlink_bytes += round.downlink_bytes;
  state_bytes += round.state_bytes;
  dropped += round.dropped;
  rejected += round.rejected;
  folded += !std::isnan(round.train_loss);
  turns_by_rank.resize(std::max(turns_by_rank.size(), round.turns_by_rank.size()));
  for (std::size_t r = 0; r < round.turns_by_rank.size(); ++r) turns_by_rank[r] += round.turns_by_rank[r];
  train_seconds += round.train_seconds;
  measured += !round.aggregation_error.empty();
  for (const auto& [layer, error] : round.aggregation_error) aggregation_error[layer] += error;
  if (!std::isnan(round.test_accuracy))
    best_test_accuracy = std::max(best_test_accuracy, round.test_accuracy);
}

namespace {

RoundColumn count(const char* name, std::uint64_t (*of)(const loru::fl::Round&)) {
  return {name, [of](const loru::fl::Round& round) { return RoundColumn::Value(of(round)); }};
}

/// A number that is NaN in a round that lacks it.
RoundColumn number(const char* name, double loru::fl::Round::* member) {
  return {name, [member](const loru::fl::Round& round) -> RoundColumn::Value {
            const double value = round.*member;
            return std::isnan(value) ? std::nullopt : std::optional(value);
          }};
}

/// The i-th metric of a round that was evaluated.
RoundColumn metric(std::string name, std::vector<double> loru::fl::Round::* metrics, std::size_t i) {
  return {std::move(name), [metrics, i](const loru::fl::Round& round) -> RoundColumn::Value {
            return round.evaluated() ? std::optional((round.*metrics)[i]) : std::nullopt;
          }};
}

}  // namespace

std::vector<RoundColumn> round_columns(const std::vector<loru::train::Metric>& metrics, bool validated) {
  using loru::fl::Round;
  std::vector<RoundColumn> columns{
      count("round", [](const Round& r) { return static_cast<std::uint64_t>(r.index); }),
      count("cohort", [](const Round& r) { return static_cast<std::uint64_t>(r.cohort.size()); }),
      number("train_loss", &Round::train_loss),
      number("test_accuracy", &Round::test_accuracy),
      {"test_loss",
       [](const Round& r) -> RoundColumn::Value {
         return r.evaluated() ? std::optional(r.test_loss) : std::nullopt;
       }},
      count("uplink_bytes", [](const Round& r) { return r.uplink_bytes; }),
      count("downlink_bytes", [](const Round& r) { return r.downlink_bytes; }),
      {"seconds", [](const Round& r) -> RoundColumn::Value { return std::optional(r.seconds); }},
      count("dropped", [](const Round& r) { return static_cast<std::uint64_t>(r.dropped); }),
      count("rejected", [](const Round& r) { return static_cast<std::uint64_t>(r.rejected); })};
  for (std::size_t i = 0; i < metrics.size(); ++i)
    if (metrics[i].name != "accuracy")
      columns.push_back(metric(loru::concat("test_", metrics[i].name), &Round::test_metrics, i));
  for (std::size_t i = 0; validated && i < metrics.size(); ++i)
    columns.push_back(metric(loru::concat("validation_", metrics[i].name), &Round::validation_metrics, i));
  return columns;
}

std::vector<RoundColumn> round_columns(const Setup& setup) {
  return round_columns(metrics(setup.configuration), setup.data.validation.size() > 0);
}

namespace {

std::vector<std::string> names_of(const std::vector<RoundColumn>& columns) {
  std::vector<std::string> names;
  for (const RoundColumn& column : columns) names.push_back(column.name);
  return names;
}

}  // namespace

Output::Output(const fs::path& folder, const Setup& setup, Begin begin, Index last)
    : folder_{prepare(folder, begin, last)},
      columns_{round_columns(setup)},
      rounds_{folder / rounds_file, names_of(columns_),
              begin == Begin::going_on ? loru::io::Existing::append : loru::io::Existing::replace} {
  if (const auto characters = characters_of(setup))
    loru::io::write_file(folder_ / characters_file, *characters);
  if (!setup.configuration.keep_rounds.empty()) loru::io::make_directories(folder_ / kept_rounds);
  if (keeps_merges(setup.configuration)) loru::io::make_directories(folder_ / merges_folder);
}

void Output::write_config(const Setup& setup) const {
  loru::io::write_file(folder_ / config_file, config_text(setup));
}

void Output::add(const loru::fl::Round& round) {
  std::vector<loru::io::CsvField> fields;
  for (const RoundColumn& column : columns_)
    std::visit([&](const auto& value) { fields.emplace_back(value); }, column.value(round));
  rounds_.row(fields);
}

std::string Output::rounds_text() const { return loru::io::read_text(folder_ / rounds_file); }

void write_rounds(const fs::path& folder, std::string_view text) {
  loru::io::write_file(folder / rounds_file, text);
}

void Output::keep_best(const loru::io::Archive& model) const { loru::io::save(folder_ / best_file, model); }

loru::io::Archive Output::best() const { return loru::io::load(folder_ / best_file); }

void Output::keep_round(Index round, const loru::io::Archive& model) const {
  loru::io::save(folder_ / kept_rounds / loru::concat(round, ".safetensors"), model);
}

void Output::keep_merge(Index round, const loru::lowrank::Products<float>& factors) const {
  if (factors.empty()) return;  // what W got is no sum of factors
  loru::io::Archive archive("merge");
  for (const auto& [layer, f] : factors) {
    archive.share(loru::nn::factor_name(layer, loru::nn::Role::down), f.a);
    archive.share(loru::nn::factor_name(layer, loru::nn::Role::up), f.b);
  }
  loru::io::save(folder_ / merges_folder / loru::concat(round, ".safetensors"), archive);
}

std::vector<loru::io::Archive> kept_merges(const fs::path& folder) {
  std::vector<loru::io::Archive> merges;
  for (const auto& [round, file] : files_of_rounds(folder / merges_folder))
    merges.push_back(loru::io::load(file));
  return merges;
}

void Output::finish(const Setup& setup, const loru::data::Partition& parts, Model& model,
                    const std::string& summary,
                    const std::optional<loru::fl::PersonalAccuracy>& personal) const {
  loru::io::save(model, folder_ / model_file);
  write_clients(folder_ / clients_file, setup.data.train, parts, personal);
  write_rounds(folder_, rounds_text());  // row by row nothing has synchronised it to disk
  loru::io::write_file(folder_ / summary_file, summary);
}

std::string data_digest(const loru::data::Split& data) {
  loru::io::Archive all("data");
  const auto put = [&](const std::string& name, const auto& values) {
    const auto bytes = std::as_bytes(std::span(values));
    if (bytes.empty()) return;
    all.put_raw(name, {loru::io::DType::u8, loru::Shape{std::ssize(bytes)}, bytes});
  };
  const auto values_of = [](const auto& targets) -> const auto& {
    if constexpr (requires { targets.values; })
      return targets.values;
    else
      return targets;
  };
  const auto put_half = [&](const std::string& half, const loru::data::Dataset& d) {
    std::visit([&](const auto& values) { put(half + ".features", values); }, d.features);
    std::visit([&](const auto& targets) { put(half + ".targets", values_of(targets)); }, d.targets);
    put(half + ".groups", d.groups);
    put(half + ".starts", d.starts);
  };
  put_half("train", data.train);
  put_half("test", data.test);
  put_half("validation", data.validation);
  return sha256(all);
}

std::string configuration_digest(Configuration configuration) {
  configuration.data.dir.clear();
  const std::string text = to_toml(std::move(configuration));
  Sha256 digest;
  digest.add(text.data(), text.size());
  return digest.hex();
}

std::string sha256(const loru::io::Archive& archive) {
  Sha256 sha;
  for (const auto& [name, tensor] : archive.tensors()) {
    sha.add(name.c_str(), name.size() + 1);
    const auto extents = static_cast<std::int64_t>(tensor.shape.rank());
    sha.add(&extents, sizeof extents);
    for (Index i = 0; i < tensor.shape.rank(); ++i) {
      const std::int64_t extent = tensor.shape[i];
      sha.add(&extent, sizeof extent);
    }
    tensor.for_each_piece([&](const auto& piece) { sha.add(piece); });
  }
  return sha.hex();
}

}  // namespace federate
