#include "checkpoint.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <loru/fl/message/table.hpp>
#include <loru/version.hpp>

#include "digest.hpp"

namespace federate {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using loru::concat, loru::DataError, loru::fail, loru::require;
using loru::io::Archive;

namespace {

const char* const checkpoint_format = "loru checkpoint 1";
const char* const rounds_name = "run/rounds.csv";
const char* const best_prefix = "best/";

#define FEDERATE_TEXT_OF(x) #x
#define FEDERATE_TEXT(x) FEDERATE_TEXT_OF(x)
#if defined(__clang__)
#define FEDERATE_COMPILER "clang " __clang_version__
#else
#define FEDERATE_COMPILER "gcc " __VERSION__
#endif

/// What the bits of a run depend on besides its configuration.
std::string build() {
  return concat("loru ", loru::version, ", ", FEDERATE_COMPILER, ", ", FEDERATE_TEXT(LORU_ISA));
}

// ---- a run's state as JSON; numbers with a fraction as text, since JSON has no NaN ----

Json exact(double x) { return loru::to_text(x); }

Json exact(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double x : values) list.push_back(exact(x));
  return list;
}

double number(const Json& json) {
  const auto value = loru::parse_number<double>(json.get<std::string>());
  require<DataError>(value.has_value(), "expected a number, got '", json.get<std::string>(), "'");
  return *value;
}

std::vector<double> numbers(const Json& json) {
  std::vector<double> values;
  for (const Json& x : json) values.push_back(number(x));
  return values;
}

Json totals_json(const Totals& t) {
  Json errors = Json::object();
  for (const auto& [layer, sum] : t.aggregation_error) errors[layer] = exact(sum);
  return {{"rounds", t.rounds},
          {"cohorts", t.cohorts},
          {"uplink_bytes", t.uplink_bytes},
          {"downlink_bytes", t.downlink_bytes},
          {"train_seconds", exact(t.train_seconds)},
          {"best_test_accuracy", exact(t.best_test_accuracy)},
          {"turns_by_rank", t.turns_by_rank},
          {"state_bytes", t.state_bytes},
          {"dropped", t.dropped},
          {"rejected", t.rejected},
          {"folded", t.folded},
          {"merge_rounds", t.merge_rounds},
          {"measured", t.measured},
          {"aggregation_error", errors}};
}

Totals totals_of(const Json& json) {
  Totals t{.rounds = json.at("rounds"),
           .cohorts = json.at("cohorts"),
           .uplink_bytes = json.at("uplink_bytes"),
           .downlink_bytes = json.at("downlink_bytes"),
           .train_seconds = number(json.at("train_seconds")),
           .best_test_accuracy = number(json.at("best_test_accuracy")),
           .turns_by_rank = json.at("turns_by_rank"),
           .state_bytes = json.at("state_bytes"),
           .dropped = json.at("dropped"),
           .rejected = json.at("rejected"),
           .folded = json.at("folded"),
           .merge_rounds = json.at("merge_rounds"),
           .measured = json.at("measured"),
           .aggregation_error = {}};
  for (const auto& [layer, sum] : json.at("aggregation_error").items())
    t.aggregation_error[layer] = number(sum);
  return t;
}

ProgramState state_of(const Json& json) {
  ProgramState state{.totals = totals_of(json.at("totals")),
                     .warming_up = json.at("warming_up"),
                     .validation = numbers(json.at("validation")),
                     .every = json.at("every"),
                     .data = json.at("data")};
  if (json.contains("best")) state.best = number(json.at("best"));
  if (json.contains("best_round")) state.best_round = json.at("best_round").get<Index>();
  if (json.contains("stopped_after")) state.stopped_after = json.at("stopped_after").get<Index>();
  if (json.contains("events")) state.events = json.at("events").get<EventSizes>();
  if (json.contains("test")) {
    const Json& test = json.at("test");
    state.test = {number(test.at("accuracy")), number(test.at("loss")), test.at("samples"),
                  numbers(test.at("metrics"))};
  }
  return state;
}

// ---- files ----

std::string file_name(Index round) {
  const std::string digits = std::to_string(round);
  return std::string(6 - std::min<std::size_t>(6, digits.size()), '0') + digits + ".safetensors";
}

std::string digest(std::span<const std::byte> bytes) {
  Sha256 sha;
  sha.add(bytes);
  return sha.hex();
}

/// Throws DataError unless the bytes are a checkpoint with the digest that it names: that of all bytes with
/// zeros in its own place.
Archive read_checkpoint(const fs::path& file, const std::string& name) {
  std::vector<std::byte> bytes = loru::io::read_file(file);
  const std::string expected = loru::fl::get_text(loru::io::borrow(bytes, name), "sha256");
  require<DataError>(expected.size() == Sha256::digits, name, ": metadata 'sha256': expected ",
                     Sha256::digits, " digits, got ", expected.size());
  const auto own = std::as_bytes(std::span(expected));
  const auto place = std::search(bytes.begin(), bytes.end(), own.begin(), own.end());
  require<DataError>(place != bytes.end(), name, ": metadata 'sha256': expected it as plain text");
  std::fill_n(place, Sha256::digits, std::byte{'0'});
  const std::string got = digest(bytes);
  require<DataError>(got == expected, name, ": expected sha256 ", expected, ", got ", got);
  return loru::io::parse(std::move(bytes), name);
}

/// A copy of what a VersionedStore has put into the archive, without the rest.
Archive states_of(const Archive& archive) {
  Archive states(archive.origin());
  loru::fl::put_table(states, "states", loru::fl::get_table(archive, "states", 2));
  return states;
}

/// Throws DataError for a whole checkpoint that is not of this format, or not of the round in its name.
void require_own(const Archive& archive, Index round) {
  loru::fl::require_text(archive, "format", checkpoint_format);
  const Index own = loru::fl::get_number(archive, "server.round", 0);
  require<DataError>(own == round, archive.origin(), ": expected round ", round, " by its name, got ", own);
}

}  // namespace

void put_state(Archive& archive, const ProgramState& state) {
  Json json{{"totals", totals_json(state.totals)},
            {"warming_up", state.warming_up},
            {"validation", exact(state.validation)},
            {"every", state.every},
            {"data", state.data}};
  if (state.best) json["best"] = exact(*state.best);
  if (state.best_round) json["best_round"] = *state.best_round;
  if (state.stopped_after) json["stopped_after"] = *state.stopped_after;
  if (!state.events.empty()) json["events"] = state.events;
  if (const auto& test = state.test)
    json["test"] = {{"accuracy", exact(test->accuracy)},
                    {"loss", exact(test->loss)},
                    {"samples", test->samples},
                    {"metrics", exact(test->metrics)}};
  archive.metadata()["run"] = json.dump();
  archive.metadata()["configuration"] = state.configuration;
}

ProgramState get_state(const Archive& archive) {
  const std::string& text = loru::fl::get_text(archive, "run");
  const std::string& configuration = loru::fl::get_text(archive, "configuration");
  try {
    ProgramState state = state_of(Json::parse(text));
    state.configuration = configuration;
    return state;
  } catch (const std::exception& error) {
    fail<DataError>(archive.origin(), ": metadata 'run': ", error.what());
  }
}

void put_rounds_text(Archive& archive, std::string text) {
  const auto rows = std::make_shared<const std::string>(std::move(text));
  archive.put_raw(rounds_name, {loru::io::DType::u8, loru::Shape{std::ssize(*rows)},
                                std::as_bytes(std::span(*rows)), rows});
}

std::string_view rounds_text(const Archive& archive) {
  const auto bytes = archive.raw(rounds_name).bytes;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void put_best(Archive& archive, const Archive& best) {
  for (const auto& [name, raw] : best.tensors())
    if (archive.contains(name)) archive.put_raw(best_prefix + name, raw);
}

void take_best(const Archive& archive, Archive& model) {
  for (const std::string& name : model.names())
    if (!model.raw(name).blocks) model.put_raw(name, archive.raw(best_prefix + name));
}

Checkpoints::Checkpoints(const fs::path& run, std::string origin)
    : folder_{run / "checkpoint"}, origin_{std::move(origin)} {}

bool Checkpoints::empty() const { return files_of_rounds(folder_).empty(); }

std::optional<Index> Checkpoints::write(Index round, Archive archive) const {
  archive.metadata()["format"] = checkpoint_format;
  archive.metadata()["build"] = build();
  archive.metadata()["sha256"] = std::string(Sha256::digits, '0');
  Sha256 sha;
  loru::io::for_each_piece(archive, [&](std::span<const std::byte> piece) { sha.add(piece); });
  archive.metadata()["sha256"] = sha.hex();
  loru::io::make_directories(folder_);
  loru::io::save(folder_ / file_name(round), archive);
  std::optional<Index> before;
  const auto files = files_of_rounds(folder_);
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    if (file->first == round) continue;
    if (!before && file->first < round)
      before = file->first;
    else
      remove_earlier(file->second);
  }
  return before;
}

std::optional<Checkpoint> Checkpoints::newest() const {
  std::optional<Checkpoint> found;
  std::vector<std::string> damaged;
  std::vector<fs::path> discarded;
  const auto files = files_of_rounds(folder_);
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    const auto& [round, path] = *file;
    if (found && found->before) {
      discarded.push_back(path);
      continue;
    }
    const std::string name = concat(origin_, "checkpoint/", path.filename().native());
    require<DataError>(fs::is_regular_file(path), name, ": expected a regular file");
    Archive archive;
    try {
      archive = read_checkpoint(path, name);
    } catch (const DataError& error) {
      damaged.emplace_back(error.what());
      discarded.push_back(path);
      continue;
    }
    require_own(archive, round);
    if (found)
      found->before = states_of(archive);
    else
      found = Checkpoint{round, std::move(archive)};
  }
  if (!found && !damaged.empty()) fail<DataError>(damaged.front());
  if (!found) return found;
  for (const std::string& message : damaged)
    found->remarks.push_back(concat(message, "; going on from round ", found->round));
  if (const std::string& other = loru::fl::get_text(found->archive, "build"); other != build())
    found->remarks.push_back(concat(found->archive.origin(), ": written by ", other, ", this is ", build(),
                                    ": the last bits of the model may differ"));
  found->discarded = std::move(discarded);
  return found;
}

void settle(const Checkpoint& checkpoint) {
  for (const std::string& remark : checkpoint.remarks) report_error(remark);
  for (const fs::path& file : checkpoint.discarded) remove_earlier(file);
}

}  // namespace federate
