#include "describe.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <ostream>
#include <sstream>

#include <loru/nn/freeze.hpp>

#include "progress.hpp"

namespace federate {

namespace {

constexpr std::array all_plans{loru::Plan::factored, loru::Plan::composed, loru::Plan::composed_full};

struct Layer {
  std::string name;
  loru::Shape shape;  // of its weight
  Index total = 0, trained = 0;
};

/// "layer1.0.conv1" of "layer1.0.conv1.lora_A.weight", where a layer has that name.
std::string layer_of(const std::string& name, const std::vector<std::string>& weighted) {
  for (const std::string& layer : weighted)
    if (name.starts_with(layer + '.')) return layer;
  return name.substr(0, name.rfind('.'));
}

std::vector<Layer> layers_of(Model& model) {
  std::vector<Layer> layers;
  const std::vector<std::string> weighted = loru::lowrank::detail::layer_names(model);
  for (const auto& [name, value, role] : model.parameters()) {
    const std::string layer = layer_of(name, weighted);
    if (layers.empty() || layers.back().name != layer) layers.push_back({layer, value.shape()});
    layers.back().total += value.shape().size();
    if (value.requires_grad()) layers.back().trained += value.shape().size();
  }
  return layers;
}

std::string shape_text(const loru::Shape& shape) {
  std::string text;
  for (Index i = 0; i < shape.rank(); ++i) text += loru::concat(i == 0 ? "" : "x", shape[i]);
  return text;
}

/// "10 classes", "4 numbers".
std::string targets_text(const loru::data::Dataset& data) {
  const bool classes = std::holds_alternative<loru::data::Labels>(data.targets) ||
                       std::holds_alternative<loru::data::TokenLabels>(data.targets);
  return loru::concat(classes ? data.classes : loru::data::width_of(data.targets), ' ',
                      loru::data::kind_of(data.targets));
}

/// "174,412 and 45,709 tokens of 30,522 in sequences of at most 64": to train on, to test on.
std::string sequences_text(const loru::data::Split& data) {
  Index longest = 0;
  for (std::size_t i = 1; i < data.train.starts.size(); ++i)
    longest = std::max(longest, data.train.starts[i] - data.train.starts[i - 1]);
  return loru::concat(human_count(data.train.starts.back()), " and ", human_count(data.test.starts.back()),
                      " tokens of ", human_count(data.train.vocabulary), " in sequences of at most ",
                      longest);
}

void describe_model(std::ostream& out, Setup& setup) {
  const std::vector<Layer> layers = layers_of(setup.model);
  const ParameterCount count = count_parameters(setup.model);
  out << "\nmodel " << setup.configuration.model << ": " << human_count(count.total) << " parameters, "
      << human_count(count.trained) << " trained\n";
  if (count.in_blocks > 0)
    out << "  " << human_count(count.in_blocks)
        << " of them stay as they are in the file: " << human_bytes(static_cast<double>(count.bytes))
        << " in memory, as floats " << human_bytes(4.0 * static_cast<double>(count.total)) << '\n';
  std::size_t width = 5;
  for (const Layer& layer : layers) width = std::max(width, layer.name.size());
  const auto row = [&](const std::string& name, const std::string& shape, const std::string& total,
                       const std::string& trained, const std::string& weight) {
    out << "  " << std::left << std::setw(static_cast<int>(width)) << name << "  " << std::setw(13) << shape
        << std::right << std::setw(12) << total << std::setw(12) << trained << "  " << weight << '\n';
  };
  row("layer", "weight", "parameters", "trained", "parametrisation");
  for (const Layer& layer : layers) {
    std::string weight = "dense";
    for (const LayerPlan& plan : setup.plans)
      if (plan.layer == layer.name)
        weight = loru::concat("rank ", plan.problem.rank, ", ", to_string(plan.plan));
    row(layer.name, shape_text(layer.shape), human_count(layer.total), human_count(layer.trained), weight);
  }
}

void describe_bytes(std::ostream& out, Setup& setup, const loru::data::Partition& parts) {
  const Configuration& c = setup.configuration;
  const auto seed = static_cast<std::uint64_t>(c.seed);
  loru::fl::Server<float> server(setup.model, make_algorithm(c), seed,
                                 {.ranks = loru::fl::ClientRanks(c.simulation.ranks, parts, seed),
                                  .clients = parts.clients(),
                                  .codecs = c.simulation.codecs});
  server.begin_round();
  const loru::fl::Message broadcast = server.broadcast(0);
  const auto down = static_cast<double>(broadcast.size());
  Model client = setup.model;
  loru::io::Archive state;
  const loru::io::Archive received = loru::fl::decode_broadcast<float>(
      loru::io::borrow(broadcast, "broadcast"), loru::fl::coded_tensors(client), state);
  loru::fl::load_broadcast(client, received, server.algorithm());
  const auto up_bytes = [&](Model& model, const loru::fl::Selection& selection) {
    loru::io::Archive extra;
    if (server.algorithm().also_sent && &model == &client)
      for (const auto& [name, shape, role] : server.algorithm().also_sent(model))
        extra.share(name, loru::nn::constant<float>(shape, 0.0));
    auto update = loru::fl::update_archive(model, {seed, 1, 0}, parts.size(0), 1.0, selection, extra);
    if (&model == &client)
      loru::fl::encode_update<float>(update, received, {seed, 1, 0}, loru::fl::coded_tensors(model), state);
    return static_cast<double>(loru::io::serialised_size(update));
  };
  Model dense = dense_model(c, setup.data.train);
  loru::nn::train_only(dense, {"*"});  // published weights come frozen
  const double up = up_bytes(client, server.sent()), all = up_bytes(dense, {});
  const bool mixed = c.simulation.ranks.rule != loru::fl::RankRule::same && low_rank(c);
  out << "\nbytes a client and round" << (mixed ? ", as client 0 has them\n" : "\n") << "  up    "
      << human_bytes(up) << '\n'
      << "  down  " << human_bytes(down)
      << (low_rank(c) ? " (more for a client that missed a merge)\n" : "\n");
  if (c.warmup_rounds > 0)
    out << "  in the first " << c.warmup_rounds << " rounds all layers are dense, as under fedavg\n";
  if (low_rank(c) || c.simulation.codecs.uplink != loru::fl::Code::none)
    out << "  fedavg would send " << human_bytes(all) << " up, " << std::setprecision(3) << all / up
        << " times as much\n";
}

}  // namespace

std::string headline(Setup& setup) {
  const Configuration& c = setup.configuration;
  const ParameterCount count = count_parameters(setup.model);
  return loru::concat(c.algorithm, ": ", c.model, " on ", c.data.name, ", ", human_count(count.trained),
                      " of ", human_count(count.total), " parameters trained, ", *c.clients, " clients, ",
                      cohort_size(c), " a round, ", c.rounds, " rounds");
}

void describe(std::ostream& out, Setup& setup, const loru::data::Partition& parts) {
  const Configuration& c = setup.configuration;
  out << headline(setup) << "\n\ndata " << c.data.name << ": " << human_count(setup.data.train.size())
      << " samples to train on, ";
  if (const Index held = setup.data.validation.size(); held > 0)
    out << human_count(held) << " to validate on, ";
  out << human_count(setup.data.test.size()) << " to test on, "
      << (setup.data.train.sequences() ? sequences_text(setup.data) : shape_text(setup.data.train.sample))
      << ", " << targets_text(setup.data.train) << '\n';
  describe_model(out, setup);
  out << "\npartition " << c.partition.kind << ", ";
  if (std::holds_alternative<loru::data::Labels>(setup.data.train.targets)) {
    std::ostringstream summary;
    summary << loru::data::describe(setup.data.train, parts, most_clients_listed);
    out << summary.str();
  } else {
    out << parts.clients() << " clients\nsamples a client    min " << parts.least() << "  max "
        << parts.most() << '\n';
  }
  describe_bytes(out, setup, parts);
}

void explain(std::ostream& out, const Setup& setup) {
  const Configuration& c = setup.configuration;
  std::size_t width = 5;
  for (const LayerPlan& plan : setup.plans) width = std::max(width, plan.layer.size());
  const auto column = [&](int space, const auto& value) { out << std::setw(space) << value; };
  out << std::left;
  column(static_cast<int>(width) + 2, "layer");
  column(15, "weight");
  out << std::right;
  for (const char* name : {"M", "n", "m", "r"}) column(7, name);
  for (loru::Plan plan : all_plans) column(15, to_string(plan));
  out << " (ms)  plan\n" << std::fixed << std::setprecision(3);
  double total = 0.0;
  for (const auto& [layer, p, chosen] : setup.plans) {
    const Index k = p.kernel, channels = p.in / std::max<Index>(1, k * k);
    out << std::left;
    column(static_cast<int>(width) + 2, layer);
    column(15, shape_text(p.convolution ? loru::Shape{p.out, channels, k, k} : loru::Shape{p.out, p.in}));
    out << std::right;
    for (Index extent : {p.rows, p.in, p.out, p.rank}) column(7, extent);
    for (loru::Plan plan : all_plans) column(15, 1e3 * setup.planner.seconds(plan, p));
    out << "       " << to_string(chosen) << '\n';
    total += 1e3 * setup.planner.seconds(chosen, p);
  }
  out << setup.plans.size() << " factored layers, " << total << " ms a step of " << c.simulation.client.batch
      << " samples as planned\n";
}

}  // namespace federate
