#include "tables.hpp"

#include <algorithm>
#include <set>

#include "statistic.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat;

namespace {

/// A column of the results.
struct Item {
  std::string name, number;  // number: of summary.json
  double factor = 1.0;
  int digits = 2;
};

std::vector<Item> items(const std::vector<Group>& groups) {
  std::vector<Item> all;
  for (const Quantity& q : metrics(groups)) {
    all.push_back(
        {"validation " + q.label(), "final_validation_" + q.name, q.factor, q.unit.empty() ? 4 : 2});
    all.push_back({"test " + q.label(), final_number(q), q.factor, q.unit.empty() ? 4 : 2});
    if (q.name == "accuracy") all.push_back({"best test " + q.label(), "best_test_accuracy", q.factor});
  }
  all.push_back({"test loss", "final_test_loss", 1.0, 4});
  all.push_back({"personal accuracy, %", "personal_accuracy.mean", 100.0});
  all.push_back({"worst decile, %", "personal_accuracy.worst_decile", 100.0});
  all.push_back({"uplink, MB", "uplink_bytes", 1e-6});
  all.push_back({"downlink, MB", "downlink_bytes", 1e-6});
  const bool equal = std::all_of(groups.begin(), groups.end(),
                                 [](const Group& group) { return over(group, "merges").deviation == 0.0; });
  all.push_back({"merges", "merges", 1.0, equal ? 0 : 1});
  all.push_back({"training, s", "train_seconds", 1.0, 1});
  std::erase_if(all, [&](const Item& item) {
    return std::all_of(groups.begin(), groups.end(),
                       [&](const Group& group) { return over(group, item.number).count == 0; });
  });
  return all;
}

/// "1, 2, 3", each value once, in the order in which the runs come.
template <class F>
std::string values_of(const std::vector<Group>& groups, F value) {
  std::vector<std::string> found;
  for (const Group& group : groups)
    for (const Run& run : group.runs)
      if (const std::string text = value(run);
          !text.empty() && std::find(found.begin(), found.end(), text) == found.end())
        found.push_back(text);
  std::string joined;
  for (const std::string& text : found) joined += (joined.empty() ? "" : ", ") + text;
  return joined;
}

/// "1, 2, 3 (1 left out)".
std::string seeds_of(const Group& group) {
  const std::size_t out = group.runs.size() - group.counted().size();
  return values_of({group}, [](const Run& run) { return std::to_string(run.seed()); }) +
         (out > 0 ? concat(" (", out, " left out)") : "");
}

std::string unfinished(const Run& run) {
  return concat("ended after round ", number(run.numbers.at("rounds"), 0), " of ",
                run.settings.at("federation.rounds"));
}

/// A line a run.
Table runs_table(const std::vector<Group>& groups, const std::vector<Item>& columns) {
  Table table{{"configuration", "seed", "rounds"}};
  for (const Item& item : columns) table.columns.push_back(item.name);
  table.columns.insert(table.columns.end(), {"remark", "folder"});
  for (const Group& group : groups)
    for (const Run& run : group.runs) {
      std::vector<std::string> row{group.name, std::to_string(run.seed()),
                                   number(run.numbers.at("rounds"), 0)};
      for (const Item& item : columns) {
        const auto value = run.number(item.number);
        row.push_back(value ? fixed(item.factor * *value, item.digits) : "");
      }
      row.insert(row.end(), {run.whole() ? "" : unfinished(run), run.folder.string()});
      table.rows.push_back(std::move(row));
      table.links.push_back(run.folder);
    }
  return table;
}

}  // namespace

void add_results(Page& page, const std::vector<Group>& groups) {
  const auto columns = items(groups);
  page.section("Results");
  if (groups.size() == 1 && groups[0].runs.size() == 1) {
    const Run& run = groups[0].runs[0];
    Table table{{"item", "value"}};
    table.rows.push_back({"rounds", run.whole() ? number(run.numbers.at("rounds"), 0) : unfinished(run)});
    for (const Item& item : columns)
      if (const auto value = run.number(item.number))
        table.rows.push_back({item.name, fixed(item.factor * *value, item.digits)});
    page.table(table, "At the end of the run");
    return;
  }
  Table table{{"configuration", "algorithm", "seeds"}};
  for (const Item& item : columns) table.columns.push_back(item.name);
  bool left_out = false;
  for (const Group& group : groups) {
    left_out = left_out || group.counted().size() < group.runs.size();
    std::vector<std::string> row{group.name, setting(group, "algorithm.name"), seeds_of(group)};
    for (const Item& item : columns)
      row.push_back(mean_text(over(group, item.number), item.factor, item.digits));
    table.rows.push_back(std::move(row));
  }
  page.table(table, "At the end of the runs: means over seeds ± the sample's standard deviation");
  if (left_out)
    page.paragraph("Runs that ended before their last round are in no mean; the table of runs names them.");
  page.folded_table(runs_table(groups, columns), "Table of the runs");
}

void add_rounds(Page& page, const std::vector<Group>& groups) {
  if (groups.size() == 1 && groups[0].runs.size() == 1) {
    const CsvTable& rounds = groups[0].runs[0].rounds;
    page.folded_table({rounds.columns, rounds.rows}, "Table of the rounds");
    return;
  }
  const auto all = metrics(groups);
  const Quantity q = all.empty() ? quantity("loss") : all[0];
  const std::string column = "test_" + q.name;
  std::map<double, std::vector<std::vector<double>>> by_round;
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const Run* run : groups[g].counted())
      for (std::size_t i = 0; has_column(run->rounds, column) && i < run->rounds.rows.size(); ++i) {
        const auto round = number_in(run->rounds, i, "round"), value = number_in(run->rounds, i, column);
        if (!round || !value) continue;
        auto& row = by_round[*round];
        row.resize(groups.size());
        row[g].push_back(*value);
      }
  Table table{{"round"}};
  for (const Group& group : groups) table.columns.push_back(group.name);
  for (const auto& [round, values] : by_round) {
    table.rows.push_back({number(round, 0)});
    for (const auto& own : values)
      table.rows.back().push_back(mean_text(statistic(own), q.factor, q.unit.empty() ? 4 : 2));
  }
  if (!table.rows.empty())
    page.folded_table(
        table, concat("Table of the rounds: test ", q.label(), ", mean over seeds ± standard deviation"));
}

std::string setting(const Group& group, const std::string& key) {
  const auto found = group.runs[0].settings.find(key);
  if (found == group.runs[0].settings.end()) return {};
  const std::string& text = found->second;
  return text.starts_with('\'') && text.size() > 1 ? text.substr(1, text.size() - 2) : text;
}

std::vector<std::string> differing_keys(const std::vector<Group>& groups) {
  std::set<std::string> all;
  for (const Group& group : groups)
    for (const auto& [key, value] : group.runs[0].settings) all.insert(key);
  std::vector<std::string> found;
  for (const std::string& key : all) {
    if (key == "seed" || key.starts_with("lowrank.rates")) continue;
    const auto differs = [&](const Group& group) { return setting(group, key) != setting(groups[0], key); };
    if (std::any_of(groups.begin(), groups.end(), differs)) found.push_back(key);
  }
  return found;
}

namespace {

/// What ran where: each value that the runs have, once.
Table facts(const std::vector<Group>& groups) {
  const auto word = [&](const char* name) {
    return values_of(groups, [&](const Run& run) {
      const auto found = run.words.find(name);
      return found == run.words.end() ? std::string() : found->second;
    });
  };
  const auto amount = [&](const char* name) {
    return values_of(groups, [&](const Run& run) {
      const auto value = run.number(name);
      return value ? number(*value, 0) : std::string();
    });
  };
  Table table{{"item", "value"}};
  const auto add = [&](const char* item, const std::string& value) {
    if (!value.empty()) table.rows.push_back({item, value});
  };
  add("data set", word("dataset"));
  add("model", word("model"));
  add("clients", amount("clients"));
  add("clients a round", amount("cohort"));
  add("seeds", amount("seed"));
  add("trained parameters", amount("parameters_trained"));
  add("parameters", amount("parameters_total"));
  add("device", word("device"));
  add("threads", amount("threads"));
  add("processor", word("machine.cpu"));
  add("cores", amount("machine.cores"));
  add("loru", word("loru_version"));
  return table;
}

}  // namespace

void add_configuration(Page& page, const std::vector<Group>& groups) {
  page.section("Configuration and machine");
  page.table(facts(groups), "What ran where");
  if (const auto keys = differing_keys(groups); !keys.empty()) {
    Table settings{{"configuration"}};
    settings.columns.insert(settings.columns.end(), keys.begin(), keys.end());
    for (const Group& group : groups) {
      settings.rows.push_back({group.name});
      for (const std::string& key : keys) settings.rows.back().push_back(setting(group, key));
    }
    page.table(settings, "Keys that differ");
  }
  for (const Group& group : groups) page.folded_text(group.runs[0].config, "config.toml of " + group.name);
}

}  // namespace federate::report
