#include "layers.hpp"

#include <algorithm>

#include "statistic.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat;

namespace {

const std::string prefix = "update_rank.";

/// The layers of all runs that have a rank.
std::vector<std::string> layers_of(const std::vector<const Group*>& groups) {
  std::vector<std::string> names;
  for (const Group* group : groups)
    for (const Run& run : group->runs)
      for (const auto& [key, value] : run.numbers)
        if (key.starts_with(prefix)) names.push_back(key.substr(prefix.size()));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

void add_layers(Page& page, const std::vector<Group>& groups) {
  const auto drawn = best_groups(groups);
  const std::vector<std::string> layers = layers_of(drawn);
  if (layers.empty()) return;
  page.section("Rank of the update");
  Figure figure{.title = "Rank of the accumulated update by layer",
                .description = "",
                .x = {.label = "rank of W at the end minus W at the start", .whole = true, .holds = {0.0}},
                .y = {.label = "layer", .names = layers},
                .series = {}};
  Table table{{"layer"}};
  for (const std::string& layer : layers) table.rows.push_back({layer});
  bool several = false;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    Series series{.name = groups.size() > 1 ? drawn[i]->name : "", .shape = Shape::bars, .style = i};
    if (layers_of({drawn[i]}).empty()) continue;
    table.columns.push_back(drawn[i]->name);
    figure.description += concat(drawn[i]->name, ": ");
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Statistic rank = over(*drawn[i], prefix + layers[l]);
      table.rows[l].push_back(mean_text(rank, 1.0, 1));
      if (rank.count == 0) continue;
      several = several || rank.count > 1;
      if (rank.count > 1) series.spread = Spread::error_bars;
      series.points.push_back({rank.mean, static_cast<double>(l), rank.low, rank.high});
      figure.description += concat(layers[l], ' ', number(rank.mean, 1), l + 1 < layers.size() ? ", " : ". ");
    }
    figure.series.push_back(std::move(series));
  }
  page.figure(figure,
              left_out_note(groups) +
                  (several ? "Bars are means over seeds, strokes go from the lowest to the highest." : ""));
  page.folded_table(table, "Rank of the update by layer");
}

}  // namespace federate::report
