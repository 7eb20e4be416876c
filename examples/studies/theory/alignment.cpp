// Are low-rank parts of clients' gradients more alike than the gradients?

#include <algorithm>

#include <loru/io/csv.hpp>

#include "parts.hpp"

namespace theory {

namespace {

/// The mean gradient of the loss on some samples, by layer.
Matrices gradient(const Study& study, Model& model, const loru::data::Dataset& set, const Samples& samples) {
  auto h = hessian(study, model, set, samples);
  const std::vector<float> g = h.gradient();
  Matrices all = matrices(model, set.classes);
  std::size_t at = 0;
  for (const auto& [name, size, role] : h.parameters()) {
    if (const auto found = all.find(name); found != all.end())
      std::copy_n(g.begin() + static_cast<std::ptrdiff_t>(at), size, found->second.data());
    at += static_cast<std::size_t>(size);
  }
  return all;
}

/// What a client's turn of dense training changes.
Matrices turn(const Study& study, Model model, const loru::data::Dataset& set, const Samples& samples,
              Index client) {
  const Matrices before = matrices(model, set.classes);
  loru::train::fit(model, set, samples,
                   {.epochs = 2,
                    .batch = 32,
                    .optimizer = {.learning_rate = study.learning_rate, .momentum = 0.9},
                    .seed = static_cast<std::uint64_t>(1000 * study.seed + client)});
  return sum(matrices(model, set.classes), -1.0, before);
}

/// A way to make a matrix small: of a layer, for one client.
using Cut =
    std::function<loru::Tensor<double>(const std::string& layer, const loru::Tensor<double>&, Index client)>;

/// The k entries largest in magnitude, as many numbers as factors of rank r have.
loru::Tensor<double> top_entries(const loru::Tensor<double>& m, Index r) {
  const auto k = static_cast<std::size_t>(std::min(m.size(), r * (m.dim(0) + m.dim(1))));
  std::vector<double> magnitudes;
  for (const double x : m.span()) magnitudes.push_back(std::abs(x));
  std::nth_element(magnitudes.begin(), magnitudes.begin() + static_cast<std::ptrdiff_t>(k - 1),
                   magnitudes.end(), std::greater<>());
  loru::Tensor<double> kept = loru::clone(m);
  for (double& x : kept.span())
    if (std::abs(x) < magnitudes[k - 1]) x = 0.0;
  return kept;
}

/// The cuts to rank r by name. `server` is the mean of the clients by samples: the union's gradient.
std::map<std::string, Cut> cuts(Index seed, Index r, const Matrices& server) {
  const auto space = [seed, r](const std::string& layer, const loru::Tensor<double>& m, Index client) {
    std::uint32_t number = 0;
    for (const char c : layer) number = number * 31 + static_cast<unsigned char>(c);
    return random_space(m.dim(1), std::min(r, m.dim(1)),
                        loru::rng::Stream(static_cast<std::uint64_t>(seed), loru::rng::Purpose::spectrum,
                                          number, static_cast<std::uint32_t>(client)));
  };
  std::map<std::string, loru::Tensor<double>> leading;
  for (const auto& [layer, m] : server)
    leading[layer] = loru::linalg::truncated_svd(m, std::min({r, m.dim(0), m.dim(1)})).v;
  return {{"truncated", [r](auto&, auto& m, Index) { return truncated(m, r); }},
          {"random_common", [space](auto& l, auto& m, Index) { return onto_rows(m, space(l, m, 0)); }},
          {"random_own", [space](auto& l, auto& m, Index k) { return onto_rows(m, space(l, m, k + 1)); }},
          {"top_entries", [r](auto&, auto& m, Index) { return top_entries(m, r); }},
          {"server_space", [leading](auto& l, auto& m, Index) { return onto_rows(m, leading.at(l)); }}};
}

Matrices apply(const Cut& cut, const Matrices& m, Index client) {
  Matrices all;
  for (const auto& [layer, matrix] : m) all.emplace(layer, cut(layer, matrix, client));
  return all;
}

/// Gradients or updates of clients.
struct Changes {
  std::vector<Matrices> own;                          // on all samples of each client
  std::vector<std::pair<Matrices, Matrices>> halves;  // on two random halves of them
  std::vector<double> weights;                        // shares of the samples
};

struct Alike {
  double pairs, halves, energy, with_server;
};

/// Mean cosine over pairs of clients (a U-statistic) and over the halves of each client's samples, the
/// share of energy that is kept, and the cosine of the mean by samples with the server's.
Alike compare(const Changes& c, const Matrices& server, const Cut& cut) {
  std::vector<Matrices> small;
  Alike a{};
  const double n = static_cast<double>(c.own.size());
  for (std::size_t k = 0; k < c.own.size(); ++k) {
    small.push_back(apply(cut, c.own[k], static_cast<Index>(k)));
    a.energy += dot(small[k], small[k]) / dot(c.own[k], c.own[k]) / n;
    const auto& [first, second] = c.halves[k];
    a.halves +=
        cosine(apply(cut, first, static_cast<Index>(k)), apply(cut, second, static_cast<Index>(k))) / n;
  }
  for (std::size_t i = 0; i < small.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) a.pairs += cosine(small[i], small[j]) / (n * (n - 1.0) / 2.0);
  a.with_server = cosine(mean(small, c.weights), server);
  return a;
}

/// The changes of the first `clients` clients. Halves are random, since a partition keeps the data set's
/// order. Half of the samples is half of the steps of a turn.
Changes changes(const Study& study, Model& model, const loru::data::Dataset& set,
                const loru::data::Partition& parts, Index clients, bool turns, loru::WorkerPool& pool) {
  const auto count = static_cast<std::size_t>(clients);
  Changes c{std::vector<Matrices>(count), std::vector<std::pair<Matrices, Matrices>>(count),
            std::vector<double>(count)};
  double samples = 0.0;
  for (std::size_t k = 0; k < count; ++k)
    samples += c.weights[k] = static_cast<double>(parts.size(static_cast<Index>(k)));
  for (double& w : c.weights) w /= samples;
  pool.for_each(clients, [&](Index i) {
    const auto k = static_cast<std::size_t>(i);
    const auto change = [&](const Samples& own) {
      return turns ? turn(study, model, set, own, i) : gradient(study, model, set, own);
    };
    Samples order = parts.samples(i);
    c.own[k] = change(order);
    loru::rng::Stream(static_cast<std::uint64_t>(study.seed), loru::rng::Purpose::spectrum, 1,
                      static_cast<std::uint32_t>(i))
        .shuffle(std::span(order));
    const auto middle = order.begin() + std::ssize(order) / 2;
    c.halves[k] = {change({order.begin(), middle}), change({middle, order.end()})};
  });
  return c;
}

/// Writes a row for each cut; `head` is what they begin with.
void write_rows(loru::io::CsvWriter& table, const std::vector<loru::io::CsvField>& head, const Study& study,
                const Changes& c, const std::vector<Index>& ranks, loru::WorkerPool& pool) {
  const Matrices server = mean(c.own, c.weights);
  const auto write = [&](const std::string& cut, Index rank, const Alike& a) {
    std::vector<loru::io::CsvField> row = head;
    row.insert(row.end(), {cut, rank, a.pairs, a.halves, a.energy, a.with_server});
    table.row(row);
  };
  for (const Index r : ranks) {
    const auto all = cuts(study.seed, r, server);
    const std::vector<std::pair<std::string, Cut>> list(all.begin(), all.end());
    std::vector<Alike> found(list.size());
    pool.for_each(std::ssize(list), [&](Index i) {
      const auto at = static_cast<std::size_t>(i);
      found[at] = compare(c, server, list[at].second);
    });
    for (std::size_t i = 0; i < list.size(); ++i) write(list[i].first, r, found[i]);
  }
  write("full", 0, compare(c, server, [](auto&, auto& m, Index) { return m; }));
}

}  // namespace

void alignment(const Study& study, const std::string& partition, Index clients,
               const std::vector<Index>& rounds, const std::vector<Index>& ranks) {
  using loru::ConfigError, loru::require;
  const auto data = loru::data::load({.name = study.data});
  const auto seed = static_cast<std::uint64_t>(study.seed);
  const auto parts = loru::data::partition(data.train, {.kind = partition, .clients = 100, .seed = seed});
  require<ConfigError>(clients >= 2 && clients <= parts.clients(), "alignment: --clients: expected 2 to ",
                       parts.clients(), ", got ", clients);
  require<ConfigError>(std::is_sorted(rounds.begin(), rounds.end()),
                       "alignment: --rounds: expected ascending ones");
  loru::fl::Simulation simulation{
      loru::nn::build<float>(study.model, options_for(data.train, study.seed)), loru::fl::FedAvg{}, data,
      parts,
      loru::fl::SimulationOptions{
          .cohort = 10,
          .client = {.epochs = 2, .optimizer = {.learning_rate = study.learning_rate, .momentum = 0.9}},
          .seed = seed,
          .threads = study.threads,
          .eval_every = 0}};
  loru::io::CsvWriter table(study.out, {"seed", "partition", "round", "of", "cut", "rank", "pairs", "halves",
                                        "energy", "with_server"});
  loru::WorkerPool pool(study.threads);
  Index done = 0;
  for (const Index round : rounds) {
    for (; done < round; ++done) simulation.run_round(false);
    for (const std::string of : {"gradient", "turn"})
      write_rows(table, {study.seed, partition, round, of}, study,
                 changes(study, simulation.model(), data.train, parts, clients, of == "turn", pool), ranks,
                 pool);
  }
}

}  // namespace theory
