#include "sweep.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "statistic.hpp"
#include "tables.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat;

namespace {

/// The swept keys. Of one sweep they are the columns before the number of seeds; of several, or besides other
/// runs, all keys that tell the groups apart.
std::vector<std::string> swept_keys(const std::vector<Group>& groups, const std::vector<CsvTable>& sweeps) {
  if (sweeps.size() > 1 || groups.size() > sweeps[0].rows.size()) return differing_keys(groups);
  const std::vector<std::string>& columns = sweeps[0].columns;
  return {columns.begin(), std::find(columns.begin(), columns.end(), "seeds")};
}

/// The key for the horizontal axis: of those whose values are all numbers the one with the most.
std::string numeric_key(const std::vector<Group>& groups, const std::vector<std::string>& keys) {
  std::string best;
  std::size_t most = 1;
  for (const std::string& key : keys) {
    std::set<std::string> values;
    bool numbers = true;
    for (const Group& group : groups) {
      values.insert(setting(group, key));
      numbers = numbers && loru::parse_number<double>(setting(group, key)).has_value();
    }
    if (numbers && values.size() > most) best = key, most = values.size();
  }
  return best;
}

/// "lowrank.rank=4, optimizer.momentum=0.9" of the keys but one; without those that the group does not have.
std::string others(const Group& group, const std::vector<std::string>& keys, const std::string& but) {
  std::string text;
  for (const std::string& key : keys)
    if (const std::string value = setting(group, key); key != but && !value.empty())
      text += concat(text.empty() ? "" : ", ", key, '=', value);
  return text;
}

/// The choices of the keys but one that have a line: of more than a figure can tell apart, those of the best
/// groups.
std::set<std::string> drawn_choices(const std::vector<Group>& groups, const std::vector<std::string>& keys,
                                    const std::string& but) {
  std::set<std::string> all, best;
  for (const Group& group : groups) all.insert(others(group, keys, but));
  for (const Group* group : best_groups(groups)) best.insert(others(*group, keys, but));
  return all.size() <= styles ? all : best;
}

/// Lines over the key's values, one for each choice of the other keys that is drawn.
std::vector<Series> lines(const std::vector<Group>& groups, const std::vector<std::string>& keys,
                          const std::string& key, const Quantity& q, const std::string& number,
                          const std::set<std::string>& drawn) {
  std::map<std::string, std::vector<Point>> by_others;
  for (const Group& group : groups)
    if (const Statistic s = over(group, number); s.count > 0)
      by_others[others(group, keys, key)].push_back({*loru::parse_number<double>(setting(group, key)),
                                                     q.factor * s.mean, q.factor * s.low, q.factor * s.high});
  std::vector<Series> all;
  for (auto& [name, points] : by_others) {
    if (!drawn.contains(name)) continue;
    std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
    all.push_back({.name = name, .points = points, .spread = Spread::error_bars, .style = all.size()});
  }
  return all;
}

/// Bars, one for each group, where no key is a number.
Figure bars(const std::vector<Group>& groups, const Quantity& q, const std::string& number) {
  Figure figure{.title = "", .description = "", .x = {.label = q.label()}, .y = {.label = ""}, .series = {}};
  Series series{.name = "", .shape = Shape::bars, .spread = Spread::error_bars};
  for (const Group& group : groups)
    if (const Statistic s = over(group, number); s.count > 0) {
      series.points.push_back({q.factor * s.mean, static_cast<double>(figure.y.names.size()),
                               q.factor * s.low, q.factor * s.high});
      figure.y.names.push_back(group.name);
    }
  figure.series.push_back(std::move(series));
  return figure;
}

void add_metric(Page& page, const std::vector<Group>& groups, const std::vector<std::string>& keys,
                const Quantity& q, const std::string& kind) {
  const std::string number = concat("final_", kind, '_', q.name), key = numeric_key(groups, keys);
  if (std::all_of(groups.begin(), groups.end(), [&](const Group& g) { return over(g, number).count == 0; }))
    return;
  std::string note = "Means over seeds; strokes go from the lowest seed to the highest.";
  Figure figure = bars(groups, q, number);
  if (!key.empty()) {
    const bool positive = std::all_of(groups.begin(), groups.end(), [&](const Group& g) {
      return *loru::parse_number<double>(setting(g, key)) > 0.0;
    });
    figure.x = {.label = key, .scale = positive ? Scale::log : Scale::linear};
    figure.y = {.label = q.label()};
    const auto drawn = drawn_choices(groups, keys, key);
    figure.series = lines(groups, keys, key, q, number, drawn);
    if (std::any_of(groups.begin(), groups.end(),
                    [&](const Group& g) { return !drawn.contains(others(g, keys, key)); }))
      note += " Drawn are the lines of the best configurations; the table has all.";
  }
  figure.title = concat(kind == "test" ? "Test " : "Validation ", q.name, " at the end by ",
                        key.empty() ? "choice" : key);
  for (const Group& group : groups)
    if (const Statistic s = over(group, number); s.count > 0)
      figure.description += concat(group.name, ": ", q.text(s.mean), ". ");
  page.figure(figure, note);
}

}  // namespace

void add_sweep(Page& page, const std::vector<Group>& groups, const std::vector<CsvTable>& sweeps) {
  const auto keys = swept_keys(groups, sweeps);
  page.section("Sweep");
  if (const auto all = metrics(groups); !all.empty())
    for (const char* kind : {"validation", "test"}) add_metric(page, groups, keys, all[0], kind);
  for (const CsvTable& sweep : sweeps)
    page.folded_table({sweep.columns, sweep.rows}, concat("Table of the sweep, ", sweep.origin));
}

}  // namespace federate::report
