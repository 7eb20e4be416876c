// Are low-rank parts of clients' gradients more alike than the gradients?

#include <numeric>

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

/// The cuts to rank r by name. `server` is the union's gradient or update.
std::map<std::string, Cut> cuts(Index seed, Index r, const Matrices& server) {
  const auto space = [seed, r](const std::string& layer, const loru::Tensor<double>& m, Index client) {
    std::uint32_t number = 0;
    for (const char c : layer) number = number * 31 + static_cast<unsigned char>(c);
    return random_space(m.dim(1), r,
                        loru::rng::Stream(static_cast<std::uint64_t>(seed), loru::rng::Purpose::spectrum,
                                          number, static_cast<std::uint32_t>(client)));
  };
  std::map<std::string, loru::Tensor<double>> leading;
  for (const auto& [layer, m] : server) leading[layer] = loru::linalg::truncated_svd(m, r).v;
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

struct Alike {
  double pairs, halves, energy, with_server;
};

/// Mean cosine over pairs of clients (a U-statistic) and over the halves of each client's samples, the
/// share of energy that is kept, and the cosine of the mean with the server's.
Alike compare(const std::vector<Matrices>& clients, const std::vector<std::pair<Matrices, Matrices>>& halves,
              const Matrices& server, const Cut& cut) {
  std::vector<Matrices> small;
  Alike a{};
  const double n = static_cast<double>(clients.size());
  for (std::size_t k = 0; k < clients.size(); ++k) {
    small.push_back(apply(cut, clients[k], static_cast<Index>(k)));
    a.energy += dot(small[k], small[k]) / dot(clients[k], clients[k]) / n;
    const auto& [first, second] = halves[k];
    a.halves +=
        cosine(apply(cut, first, static_cast<Index>(k)), apply(cut, second, static_cast<Index>(k))) / n;
  }
  for (std::size_t i = 0; i < small.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) a.pairs += cosine(small[i], small[j]) / (n * (n - 1.0) / 2.0);
  a.with_server = cosine(mean(small), server);
  return a;
}

}  // namespace

void alignment(const Study& study, const std::string& partition, Index clients,
               const std::vector<Index>& rounds, const std::vector<Index>& ranks) {
  const auto data = loru::data::load({.name = study.data});
  const auto seed = static_cast<std::uint64_t>(study.seed);
  const auto parts = loru::data::partition(data.train, {.kind = partition, .clients = 100, .seed = seed});
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
    Model& model = simulation.model();
    for (const std::string of : {"gradient", "turn"}) {
      std::vector<Matrices> own(static_cast<std::size_t>(clients));
      std::vector<std::pair<Matrices, Matrices>> halves(own.size());
      pool.for_each(clients, [&](Index k) {
        const Samples& all = parts[static_cast<std::size_t>(k)];
        const auto middle = all.begin() + std::ssize(all) / 2;
        const auto change = [&](const Samples& samples) {
          return of == "gradient" ? gradient(study, model, data.train, samples)
                                  : turn(study, model, data.train, samples, k);
        };
        own[static_cast<std::size_t>(k)] = change(all);
        halves[static_cast<std::size_t>(k)] = {change({all.begin(), middle}), change({middle, all.end()})};
      });
      const Matrices server = mean(own);
      for (const Index r : ranks) {
        const auto all = cuts(study.seed, r, server);
        std::vector<std::string> names;
        for (const auto& [name, cut] : all) names.push_back(name);
        std::vector<Alike> found(names.size());
        pool.for_each(std::ssize(names), [&](Index i) {
          const auto at = static_cast<std::size_t>(i);
          found[at] = compare(own, halves, server, all.at(names[at]));
        });
        for (std::size_t i = 0; i < names.size(); ++i)
          table.row({study.seed, partition, round, of, names[i], r, found[i].pairs, found[i].halves,
                     found[i].energy, found[i].with_server});
      }
      const Alike full = compare(own, halves, server, [](auto&, auto& m, Index) { return m; });
      table.row({study.seed, partition, round, of, "full", 0, full.pairs, full.halves, full.energy,
                 full.with_server});
    }
  }
}

}  // namespace theory
