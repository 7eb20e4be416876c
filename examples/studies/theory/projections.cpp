// Does the low rank of an update regularise? Dense turns whose updates are projected before they are
// averaged.

#include <loru/io/csv.hpp>

#include "parts.hpp"

namespace theory {

namespace {

enum class Projection { none, top, random, off_hessian };

/// Federated averaging of projected updates. The Hessian's top space is the client's own, at the weights
/// that it was sent, from 30 Lanczos steps; it takes all parameters, the others take the layers' weights.
struct Projected {
  static constexpr std::string_view name = "projected";
  static constexpr bool low_rank = false;
  using hooks = loru::fl::Hooks<loru::fl::hook::train>;
  static constexpr auto fields() { return loru::Fields{}; }

  const Study* study = nullptr;
  Projection kind = Projection::none;
  Index rank = 1;

  template <class T, class D>
  double train(const loru::fl::Turn<T, D>& turn) const {
    const Model before = turn.model;
    const double loss = loru::fl::train(turn);
    if (kind == Projection::off_hessian)
      leave_top_space(turn, before);
    else if (kind != Projection::none)
      project(turn, before);
    return loss;
  }

 private:
  template <class T, class D>
  void project(const loru::fl::Turn<T, D>& turn, Model before) const {
    const Index classes = turn.dataset.dataset().classes;
    const Matrices start = matrices(before, classes);
    Matrices update = sum(matrices(turn.model, classes), -1.0, start);
    for (auto& p : turn.model.trained_parameters()) {
      const auto found = update.find(p.name);
      if (found == update.end()) continue;
      loru::Tensor<double>& m = found->second;
      if (kind == Projection::top) {
        m = truncated(m, rank);
      } else {
        const loru::rng::Stream stream(turn.head.seed, loru::rng::Purpose::spectrum,
                                       static_cast<std::uint32_t>(turn.head.round),
                                       static_cast<std::uint32_t>(turn.head.client));
        m = onto_rows(m, random_space(m.dim(1), std::min(rank, m.dim(1)),
                                      stream.fork(static_cast<std::uint32_t>(m.dim(1)))));
      }
      T* w = p.value.mutable_value().data();
      const double* from = start.at(p.name).data();
      for (Index i = 0; i < m.size(); ++i) w[i] = static_cast<T>(from[i] + m.data()[i]);
    }
  }

  template <class T, class D>
  void leave_top_space(const loru::fl::Turn<T, D>& turn, Model before) const {
    const loru::spectrum::Operator<float> h(
        hessian(*study, before, turn.dataset.dataset(), {turn.samples.begin(), turn.samples.end()}));
    const loru::spectrum::Vectors<float> nothing;
    loru::spectrum::Vectors<float> y, hy;
    loru::spectrum::Lanczos<float> process(
        h, loru::spectrum::gaussian<float>(h.size(), loru::rng::Stream(turn.head.seed)), nothing);
    process.ritz_vectors(process.run(30, rank, 1e-3), rank, y, hy);
    std::vector<float> update;
    const auto start = before.trained_parameters();
    for (std::size_t i = 0; auto& p : turn.model.trained_parameters()) {
      const T *w = p.value.value().data(), *from = start[i++].value.value().data();
      for (Index j = 0; j < p.value.value().size(); ++j) update.push_back(w[j] - from[j]);
    }
    loru::spectrum::project_out(update, y);
    auto at = update.begin();
    for (std::size_t i = 0; auto& p : turn.model.trained_parameters()) {
      T* w = p.value.mutable_value().data();
      const T* from = start[i++].value.value().data();
      for (Index j = 0; j < p.value.value().size(); ++j) w[j] = from[j] + *at++;
    }
  }
};

/// A row: accuracy and gap after the last round, and the largest eigenvalue on 2,000 training samples.
std::vector<loru::io::CsvField> outcome(const Study& study, Model& model, const loru::data::Split& data,
                                        loru::WorkerPool& pool) {
  Samples some = shuffled(data.train.size(), study.seed);
  some.resize(std::min<std::size_t>(some.size(), 10000));
  const auto train = loru::train::evaluate(model, data.train, some, pool);
  const auto test = loru::train::evaluate(model, data.test, pool);
  some.resize(std::min<std::size_t>(some.size(), 2000));
  const auto s = loru::spectrum::measure(
      loru::spectrum::Operator<float>(hessian(study, model, data.train, some, &pool)), {.tolerance = 0.05});
  return {test.accuracy,          test.loss, train.accuracy - test.accuracy,
          test.loss - train.loss, s.norm,    s.stable_rank};
}

}  // namespace

void projections(const Study& study, const std::string& partition, Index rounds,
                 const std::vector<Index>& ranks) {
  const auto data = loru::data::load({.name = study.data});
  const auto seed = static_cast<std::uint64_t>(study.seed);
  const auto parts = loru::data::partition(data.train, {.kind = partition, .clients = 100, .seed = seed});
  loru::WorkerPool pool(study.threads);
  loru::io::CsvWriter table(study.out, {"seed", "partition", "projection", "rank", "rounds", "test_accuracy",
                                        "test_loss", "accuracy_gap", "loss_gap", "norm", "stable_rank"});
  const auto run = [&](const std::string& name, Projection kind, Index rank) {
    loru::fl::Simulation simulation{
        loru::nn::build<float>(study.model, options_for(data.train, study.seed)),
        Projected{.study = &study, .kind = kind, .rank = rank}, data, parts,
        loru::fl::SimulationOptions{
            .cohort = 10,
            .client = {.epochs = 2, .optimizer = {.learning_rate = study.learning_rate, .momentum = 0.9}},
            .seed = seed,
            .threads = study.threads,
            .eval_every = 0}};
    Index finished = 0;
    try {
      for (; finished < rounds; ++finished) simulation.run_round(false);
    } catch (const loru::DivergedError&) {}
    std::vector<loru::io::CsvField> row{study.seed, partition, name, rank, finished};
    if (finished == rounds)
      for (const auto& field : outcome(study, simulation.model(), data, pool)) row.push_back(field);
    else  // diverged
      row.insert(row.end(), 6, loru::io::CsvField(std::nullopt));
    table.row(row);
  };
  run("none", Projection::none, 0);
  run("off_hessian", Projection::off_hessian, data.train.classes);
  for (const Index r : ranks) {
    run("top", Projection::top, r);
    run("random", Projection::random, r);
  }
}

}  // namespace theory
