#include "spectrum.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "statistic.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat, loru::DataError, loru::require;

namespace {

/// A line of spectrum.csv.
struct Measured {
  double round, samples;
  std::string who, operator_name, layer;
  double stable_rank, error;
};

double needed(const CsvTable& table, std::size_t row, const std::string& column) {
  const auto value = number_in(table, row, column);
  require<DataError>(value.has_value(), table.origin, ": line ", row + 2, ", column '", column,
                     "': expected a number, got nothing");
  return *value;
}

std::string who_in(const CsvTable& table, std::size_t row) {
  const std::string& who = table.text(row, "who");
  require<DataError>(who == "server" || who == "client", table.origin, ": line ", row + 2,
                     ", column 'who': expected server or client, got '", who, "'");
  return who;
}

std::vector<Measured> read_measured(const CsvTable& table) {
  std::vector<Measured> all;
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    all.push_back({needed(table, i, "round"), needed(table, i, "samples"), who_in(table, i),
                   table.text(i, "operator"), table.text(i, "layer"), needed(table, i, "stable_rank"),
                   number_in(table, i, "stable_rank_error").value_or(0.0)});
  return all;
}

/// The values of a member, each once, in order.
template <class T>
std::vector<T> each(const std::vector<Measured>& all, T Measured::* member) {
  std::set<T> values;
  for (const Measured& m : all) values.insert(m.*member);
  return {values.begin(), values.end()};
}

/// An operator of federate spectrum in words.
std::string words_for(const std::string& operator_name) {
  static const std::map<std::string, std::string> words{{"hessian", "Hessian"},
                                                        {"gauss_newton", "Gauss-Newton matrix"},
                                                        {"residual", "Hessian minus Gauss-Newton"},
                                                        {"factors", "Hessian in the factors"}};
  const auto found = words.find(operator_name);
  return found == words.end() ? operator_name : found->second;
}

bool server(const Measured& m) { return m.who == "server"; }

/// Stable ranks of the whole model in one round: clients, their mean by samples, the server.
void add_stable_rank(Page& page, const std::vector<Measured>& all, const std::string& operator_name,
                     double round) {
  Series clients{.name = "a client", .shape = Shape::points, .spread = Spread::error_bars, .style = 0};
  Series central{.name = "server", .shape = Shape::points, .spread = Spread::error_bars, .style = 1};
  std::map<double, std::vector<double>> by_samples;
  std::string description;
  for (const Measured& m : all) {
    if (m.round != round || m.operator_name != operator_name || !m.layer.empty()) continue;
    (server(m) ? central : clients)
        .points.push_back({m.samples, m.stable_rank, m.stable_rank - m.error, m.stable_rank + m.error});
    if (server(m))
      description += concat("Server, ", number(m.samples, 0), " samples: stable rank ",
                            significant(m.stable_rank), " ± ", significant(m.error, 2), ". ");
    else
      by_samples[m.samples].push_back(m.stable_rank);
  }
  Series mean{.name = "mean of the clients", .style = 2};
  for (const auto& [samples, ranks] : by_samples) {
    const Statistic s = statistic(ranks);
    mean.points.push_back({samples, s.mean});
    description += concat("Clients, ", number(samples, 0), " samples: mean ", significant(s.mean), ", from ",
                          significant(s.low), " to ", significant(s.high), ". ");
  }
  Figure figure{.title = concat("Stable rank, ", words_for(operator_name), ", round ", number(round, 0)),
                .description = description,
                .x = {.label = "samples", .scale = Scale::log},
                .y = {.label = "stable rank"},
                .series = {}};
  for (Series* series : {&clients, &mean, &central})
    if (!series->points.empty()) figure.series.push_back(std::move(*series));
  if (!figure.series.empty())
    page.figure(figure, "Strokes are one standard error of the estimate on both sides.");
}

/// Mean stable rank of each layer's block, of the server and of the clients with the most samples.
void add_layer_ranks(Page& page, const std::vector<Measured>& all, const std::string& operator_name,
                     double round) {
  std::map<std::string, std::map<std::string, std::vector<double>>> ranks;  // by who and layer
  std::vector<std::string> layers;
  double most = 0.0;  // samples of a client
  for (const Measured& m : all)
    if (!server(m)) most = std::max(most, m.samples);
  for (const Measured& m : all) {
    if (m.round != round || m.operator_name != operator_name || m.layer.empty()) continue;
    if (!server(m) && m.samples != most) continue;
    ranks[m.who][m.layer].push_back(m.stable_rank);
    if (std::find(layers.begin(), layers.end(), m.layer) == layers.end()) layers.push_back(m.layer);
  }
  if (layers.empty()) return;
  Figure figure{
      .title = concat("Stable rank by layer, ", words_for(operator_name), ", round ", number(round, 0)),
      .description = "",
      .x = {.label = "stable rank", .holds = {0.0}},
      .y = {.label = "layer", .names = layers},
      .series = {}};
  for (const auto& [who, by_layer] : ranks) {
    Series series{.name = who == "client" ? "mean of the clients" : who,
                  .shape = Shape::bars,
                  .spread = Spread::error_bars,
                  .style = who == "client" ? 0u : 1u};
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const auto found = by_layer.find(layers[l]);
      if (found == by_layer.end()) continue;
      const Statistic s = statistic(found->second);
      series.points.push_back({s.mean, static_cast<double>(l), s.low, s.high});
      figure.description += concat(series.name, ", ", layers[l], ": ", significant(s.mean), ". ");
    }
    figure.series.push_back(std::move(series));
  }
  page.figure(figure, concat("Clients with ", number(most, 0),
                             " samples; strokes go from the lowest to the highest."));
}

/// The stable ranks of the whole model.
Table summary_table(const std::vector<Measured>& all) {
  using Case = std::tuple<std::string, double, bool, double>;  // operator, round, client, samples
  std::map<Case, std::vector<const Measured*>> cases;
  for (const Measured& m : all)
    if (m.layer.empty()) cases[{m.operator_name, m.round, !server(m), m.samples}].push_back(&m);
  Table table{{"operator", "round", "who", "samples", "stable rank", "largest error of an estimate"}};
  for (const auto& [key, measured] : cases) {
    const auto& [operator_name, round, client, samples] = key;
    std::vector<double> ranks;
    double error = 0.0;
    for (const Measured* m : measured) ranks.push_back(m->stable_rank), error = std::max(error, m->error);
    table.rows.push_back({operator_name, number(round, 0),
                          client ? counted(ranks.size(), "client") : "server", number(samples, 0),
                          mean_text(statistic(ranks), 1.0, 3), significant(error, 2)});
  }
  return table;
}

// ---- density ----

/// A node and its weight, with the quadrature that it belongs to.
struct Node {
  double eigenvalue, weight;
  std::string who, quadrature;
};

std::vector<Node> read_nodes(const CsvTable& table, const std::string& operator_name, double round) {
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    if (table.text(i, "operator") != operator_name || !table.text(i, "layer").empty()) continue;
    if (needed(table, i, "round") != round) continue;
    nodes.push_back({needed(table, i, "eigenvalue"), needed(table, i, "weight"), who_in(table, i),
                     table.text(i, "client") + ' ' + table.text(i, "samples")});
  }
  return nodes;
}

/// The weight in bins that are equally wide on the symmetric logarithmic axis, as a mean over quadratures.
Series binned(const std::vector<Node>& nodes, const std::string& who, double threshold, double largest) {
  constexpr std::size_t bins = 48;
  const double end = std::asinh(largest / threshold);
  std::vector<double> weights(bins, 0.0);
  std::set<std::string> quadratures;
  for (const Node& node : nodes) {
    if (node.who != who) continue;
    quadratures.insert(node.quadrature);
    const double share = (std::asinh(node.eigenvalue / threshold) / end + 1.0) / 2.0;
    weights[std::min(bins - 1, static_cast<std::size_t>(share * bins))] += node.weight;
  }
  Series series{
      .name = who == "client" ? "clients" : who, .shape = Shape::steps, .style = who == "client" ? 0u : 1u};
  if (quadratures.empty()) return series;
  for (std::size_t i = 0; i < bins; ++i)
    series.points.push_back({threshold * std::sinh(end * (2.0 * static_cast<double>(i) / bins - 1.0)),
                             weights[i] / static_cast<double>(quadratures.size())});
  series.points.push_back({largest, 0.0});
  return series;
}

void add_density(Page& page, const CsvTable& table, const std::string& operator_name, double round) {
  const std::vector<Node> nodes = read_nodes(table, operator_name, round);
  double largest = 0.0;
  for (const Node& node : nodes) largest = std::max(largest, std::abs(node.eigenvalue));
  if (largest == 0.0) return;
  const double threshold = std::pow(10.0, std::floor(std::log10(largest)) - 3.0);
  Figure figure{
      .title = concat("Density of eigenvalues, ", words_for(operator_name), ", round ", number(round, 0)),
      .description = concat("Shares of the eigenvalues from ", significant(-largest, 3), " to ",
                            significant(largest, 3), " in 48 bins of a symmetric logarithmic axis."),
      .x = {.label = "eigenvalue", .scale = Scale::symmetric_log, .threshold = threshold},
      .y = {.label = "share of eigenvalues", .scale = Scale::log},
      .series = {}};
  for (const char* who : {"client", "server"})
    if (Series series = binned(nodes, who, threshold, largest); !series.points.empty())
      figure.series.push_back(std::move(series));
  page.figure(figure, concat("Linear below ", tick_text(threshold),
                             ", logarithmic beyond. Clients: mean over clients and sample counts."));
}

}  // namespace

void add_spectrum(Page& page, const Spectrum& spectrum) {
  const std::vector<Measured> all = read_measured(spectrum.values);
  page.section("Spectrum: " + spectrum.name);
  page.table(summary_table(all),
             "Stable rank: the server's, and means of the clients ± the sample's standard deviation");
  const auto rounds = each(all, &Measured::round);
  for (const std::string& name : each(all, &Measured::operator_name)) {
    for (const double round : rounds) add_stable_rank(page, all, name, round);
    for (const double round : rounds)
      if (spectrum.density) add_density(page, *spectrum.density, name, round);
    for (const double round : rounds) add_layer_ranks(page, all, name, round);
  }
  page.folded_table({spectrum.values.columns, spectrum.values.rows}, "Table of the spectra");
  if (spectrum.config) page.folded_text(*spectrum.config, "spectrum.toml of " + spectrum.name);
}

}  // namespace federate::report
