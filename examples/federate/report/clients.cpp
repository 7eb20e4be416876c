#include "clients.hpp"

#include <algorithm>
#include <numeric>

#include "statistic.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat;

namespace {

constexpr std::size_t most_columns = 60;  // clients of the heat map

/// The first run that has a clients.csv.
const Run* run_with_clients(const std::vector<Group>& groups) {
  for (const Group& group : groups)
    for (const Run* run : group.counted())
      if (run->clients && !run->clients->rows.empty()) return run;
  return nullptr;
}

std::vector<std::string> labels_of(const CsvTable& clients) {
  std::vector<std::string> labels;
  for (const std::string& column : clients.columns)
    if (column.starts_with("label_")) labels.push_back(column.substr(6));
  return labels;
}

std::vector<double> column_of(const CsvTable& table, const std::string& column) {
  std::vector<double> values;
  if (has_column(table, column))
    for (std::size_t i = 0; i < table.rows.size(); ++i)
      if (const auto value = number_in(table, i, column)) values.push_back(*value);
  return values;
}

/// A client's samples by label.
std::vector<double> counts_of(const CsvTable& clients, std::size_t row,
                              const std::vector<std::string>& labels) {
  std::vector<double> counts;
  for (const std::string& label : labels)
    counts.push_back(number_in(clients, row, "label_" + label).value_or(0.0));
  return counts;
}

void add_labels(Page& page, const Run& run) {
  const CsvTable& clients = *run.clients;
  const std::vector<std::string> labels = labels_of(clients);
  if (labels.empty()) return;
  Series cells{.name = "", .shape = Shape::cells};
  std::vector<double> largest;
  for (std::size_t i = 0; i < clients.rows.size(); ++i) {
    const auto counts = counts_of(clients, i, labels);
    const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
    if (total == 0.0) continue;
    largest.push_back(*std::max_element(counts.begin(), counts.end()) / total);
    for (std::size_t l = 0; l < labels.size() && i < most_columns; ++l)
      if (counts[l] > 0.0)
        cells.points.push_back({static_cast<double>(i), static_cast<double>(l), counts[l] / total});
  }
  if (largest.empty()) return;
  const Statistic s = statistic(largest);
  for (Point& cell : cells.points) cell.low /= s.high;
  Figure figure{.title = "Label shares of the clients",
                .description = concat("The largest class of a client has ", number(100.0 * s.mean, 0),
                                      " % of its samples on average, from ", number(100.0 * s.low, 0),
                                      " % to ", number(100.0 * s.high, 0), " % over the clients."),
                .x = {.label = "client", .whole = true},
                .y = {.label = "class", .names = labels},
                .series = {cells}};
  std::string note = concat(
      "A column is a client, a row a class; the stronger the colour, the larger the share of the "
      "class in the client's samples. ",
      figure.description, " Seed ", run.seed(), ".");
  if (clients.rows.size() > most_columns)
    note += concat(" The first ", most_columns, " of ", clients.rows.size(), " clients are drawn.");
  page.figure(figure, note);
}

/// About as many as the root of the values' number.
std::size_t bins_for(const std::vector<double>& values) {
  return static_cast<std::size_t>(
      std::clamp(std::ceil(1.5 * std::sqrt(static_cast<double>(values.size()))), 5.0, 25.0));
}

/// The share of the values in each of `bins` bins over [low, high], in percent, as steps.
Series histogram(const std::vector<double>& values, double low, double high, std::size_t bins) {
  std::vector<double> counts(bins, 0.0);
  const double width = (high - low) / static_cast<double>(bins);
  for (const double v : values)
    ++counts[std::min(bins - 1, static_cast<std::size_t>(std::max(0.0, (v - low) / width)))];
  Series series{.name = "", .shape = Shape::steps};
  for (std::size_t i = 0; i < bins; ++i)
    series.points.push_back(
        {low + static_cast<double>(i) * width, 100.0 * counts[i] / static_cast<double>(values.size())});
  series.points.push_back({high, 0.0});
  return series;
}

std::string described(const std::string& name, const std::vector<double>& values, double factor,
                      const std::string& unit) {
  const Statistic s = statistic(values);
  return concat(name, ": ", counted(values.size(), "client"), ", mean ", number(factor * s.mean, 1), unit,
                ", from ", number(factor * s.low, 1), unit, " to ", number(factor * s.high, 1), unit, ". ");
}

void add_samples(Page& page, const Run& run) {
  const std::vector<double> samples = column_of(*run.clients, "samples");
  if (samples.empty()) return;
  const Statistic s = statistic(samples);
  if (s.low == s.high) {
    page.paragraph(concat("Each of these ", samples.size(), " clients has ", number(s.low, 0), " samples."));
    return;
  }
  const Figure figure{.title = "Samples of the clients",
                      .description = described("Samples", samples, 1.0, ""),
                      .x = {.label = "samples", .whole = true},
                      .y = {.label = "clients, %", .holds = {0.0}},
                      .series = {histogram(samples, s.low, s.high, bins_for(samples))}};
  page.figure(figure, figure.description);
}

/// A column over the clients of all counted runs of a group.
std::vector<double> over_clients(const Group& group, const std::string& column) {
  std::vector<double> all;
  for (const Run* run : group.counted())
    if (run->clients) {
      const auto own = column_of(*run->clients, column);
      all.insert(all.end(), own.begin(), own.end());
    }
  return all;
}

/// Of one configuration: the clients' own models and the global one, on each client's test images.
void add_personal_histogram(Page& page, const Group& group) {
  const auto own = over_clients(group, "personal_accuracy"), global = over_clients(group, "global_accuracy");
  if (own.empty() || global.empty()) return;
  Figure figure{.title = "Accuracy on each client's own classes",
                .description = described("global model", global, 100.0, " %"),
                .x = {.label = "accuracy, %"},
                .y = {.label = "clients, %", .holds = {0.0}},
                .series = {}};
  const double low = 5.0 * std::floor(20.0 * std::min({statistic(own).low, statistic(global).low, 0.95}));
  const auto add = [&](const std::string& name, std::vector<double> values, std::size_t style) {
    for (double& v : values) v *= 100.0;
    figure.series.push_back(histogram(values, low, 100.0, bins_for(values)));
    figure.series.back().name = name;
    figure.series.back().style = style;
  };
  add("global model", global, 0);
  if (own != global) {
    figure.description += described("clients' own models", own, 100.0, " %");
    add("clients' own models", own, 1);
  }
  page.figure(figure, figure.description);
}

/// Of several: the share of clients whose own model is at most as good.
void add_personal_shares(Page& page, const std::vector<Group>& groups) {
  Figure figure{.title = "Personal accuracy: share of clients at or below it",
                .description = "",
                .x = {.label = "accuracy, %"},
                .y = {.label = "clients, %", .holds = {0.0, 100.0}},
                .series = {}};
  const auto drawn = best_groups(groups);
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    auto values = over_clients(*drawn[i], "personal_accuracy");
    if (values.empty()) continue;
    figure.description += described(drawn[i]->name, values, 100.0, " %");
    std::sort(values.begin(), values.end());
    Series series{.name = drawn[i]->name, .shape = Shape::steps, .style = i};
    for (std::size_t k = 0; k < values.size(); ++k)
      if (k + 1 == values.size() || values[k + 1] != values[k])
        series.points.push_back(
            {100.0 * values[k], 100.0 * static_cast<double>(k + 1) / static_cast<double>(values.size())});
    figure.series.push_back(std::move(series));
  }
  if (!figure.series.empty())
    page.figure(figure,
                left_out_note(groups) +
                    "Each client's own model on test images in its own label proportions; a curve further to "
                    "the right is better.");
}

}  // namespace

void add_clients(Page& page, const std::vector<Group>& groups) {
  const Run* run = run_with_clients(groups);
  if (!run) return;
  page.section("Clients");
  const auto listed = static_cast<Index>(run->clients->rows.size());
  if (const auto all = static_cast<Index>(run->number("clients").value_or(0.0)); listed < all)
    page.paragraph(concat("The table has ", listed, " of the ", all, " clients."));
  add_samples(page, *run);
  add_labels(page, *run);
  if (groups.size() == 1)
    add_personal_histogram(page, groups[0]);
  else
    add_personal_shares(page, groups);
  page.folded_table({run->clients->columns, run->clients->rows},
                    concat("Table of the clients, ", run->folder.string()));
}

}  // namespace federate::report
