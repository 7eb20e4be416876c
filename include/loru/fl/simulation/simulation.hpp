#pragma once
// A whole federation in one process.

#include <chrono>
#include <iterator>
#include <optional>

#include <loru/data/partition/common.hpp>
#include <loru/fl/client/turn.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/fl/simulation/executor.hpp>
#include <loru/fl/simulation/overlap.hpp>
#include <loru/fl/simulation/personal.hpp>
#include <loru/fl/simulation/round.hpp>
#include <loru/fl/simulation/sampler.hpp>
#include <loru/train/evaluate.hpp>

namespace loru::inline LORU_ISA::fl {

/// Simulates a federation: clients of a partition train in parallel, one thread each, over one shared copy of
/// the frozen weights. The model depends on the seed and the options, not on the number of threads. On a
/// device other than the host clients train one after the other, as with one thread, and the data lie there
/// once.
template <class T, class D = Cpu>
class Simulation {
 public:
  /// Client k owns the training samples parts[k]. Throws ConfigError as check() and sample_cohort() do, for a
  /// client without samples and for data whose targets are not the task's. Keeps a reference to the data,
  /// which must outlive the simulation.
  Simulation(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, const data::Split& data,
             data::Partition parts, const SimulationOptions& options,
             train::Task<T, D> task = train::Classification{});
  Simulation(nn::Model<T, D>, AnyAlgorithm<T, D>, const data::Split&&, data::Partition,
             const SimulationOptions&, train::Task<T, D> = train::Classification{}) = delete;
  ~Simulation();

  nn::Model<T, D>& model() { return server_.model(); }
  Server<T, D>& server() { return server_; }
  ClientStore& store() { return *options_.store; }
  Index clients() const { return static_cast<Index>(parts_.size()); }

  /// One round of Algorithm 1: broadcast, local training, averaging, and what the algorithm does after a
  /// round. Throws DivergedError and keeps the state of the round before, the clients' too. With
  /// Diverged::reject a client that diverges is left out of the round instead.
  Round run_round(bool evaluated);

  /// A range of rounds. Iterating over it runs them one by one.
  class Rounds {
   public:
    class iterator {
     public:
      using value_type = Round;
      using difference_type = std::ptrdiff_t;
      iterator(Simulation& simulation, Index count) : simulation_{&simulation}, left_{count} { run(); }
      const Round& operator*() const { return round_; }
      iterator& operator++() {
        --left_;
        run();
        return *this;
      }
      void operator++(int) { ++*this; }
      bool operator==(std::default_sentinel_t) const { return left_ == 0; }

     private:
      void run() {
        if (left_ > 0) round_ = simulation_->run_round(simulation_->wants_evaluation(left_ == 1));
      }
      Simulation* simulation_;
      Index left_;
      Round round_;
    };
    Rounds(Simulation& simulation, Index count) : simulation_{simulation}, count_{count} {}
    iterator begin() { return {simulation_, count_}; }
    std::default_sentinel_t end() const { return {}; }

   private:
    Simulation& simulation_;
    Index count_;
  };

  /// The next `count` rounds.
  Rounds rounds(Index count) { return {*this, count}; }

  /// The model that is evaluated: the server's, or what the algorithm makes of it and of the client states.
  nn::Model<T, D> global_model();

  /// The global model on the test set.
  train::Evaluation evaluate();

  /// The global model on the validation set, if there is one.
  std::optional<train::Evaluation> validate();

  /// The accuracy of the clients' personal models.
  PersonalAccuracy personal_accuracy(const PersonalOptions& o = {});

  /// Whether the next round is to be evaluated.
  bool wants_evaluation(bool last) const {
    return options_.eval_every > 0 && (last || (server_.round() + 1) % options_.eval_every == 0);
  }

 private:
  /// The broadcasts, the clients' turns and their answers. `states` are those of the clients whose updates
  /// were folded. Returns how many these are.
  Index train_cohort(Round& round, std::vector<io::Archive>& states);

  /// A client's turn on a borrowed model, which shares the server's frozen weights.
  Message train_client(Index client, const io::Archive& broadcast, io::Archive& state);

  /// Makes the frozen weights of a replica handles of the server's, by name. The replica may have other
  /// parameters too, from the algorithm.
  void share_frozen(nn::Model<T, D>& model);

  static ServerOptions server_options(const SimulationOptions& o, const data::Partition& parts);

  /// Samples of each client.
  static std::vector<Index> sizes(const data::Partition& parts);

  /// Checked on every device.
  static Index threads(const SimulationOptions& options) {
    require<ConfigError>(options.threads >= 1, "threads: expected at least 1, got ", options.threads);
    return std::same_as<D, Cpu> ? options.threads : 1;
  }

  static double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  SimulationOptions options_;
  train::Task<T, D> task_;
  DeviceData<D> train_, test_, validation_;
  data::Partition parts_;
  Server<T, D> server_;
  WorkerPool pool_;
  Lender<nn::Model<T, D>> replicas_;
};

template <class T, class D>
Message Simulation<T, D>::train_client(Index client, const io::Archive& broadcast, io::Archive& state) {
  if (auto kept = store().load(client)) state = *std::move(kept);
  auto loan = replicas_.borrow();
  nn::Model<T, D>& model = *loan;
  if (server_.resizes())
    model = server_.client_model(client);  // factors that are not sent are of its rank too
  share_frozen(model);
  const auto& samples = parts_[static_cast<std::size_t>(client)];
  try {
    return take_turn(model, broadcast, server_.algorithm(),
                     LocalData<T, D>{train_, samples, options_.client, task_}, state, Frozen::shared);
  } catch (...) {
    model = server_.model();  // half trained, it is not for another client
    throw;
  }
}

template <class T, class D>
void Simulation<T, D>::share_frozen(nn::Model<T, D>& model) {
  std::map<std::string, Variable<T, D>> frozen;
  for (auto& p : server_.model().parameters())
    if (!p.value.requires_grad()) frozen.emplace(p.name, p.value);
  for (auto& p : model.parameters())
    if (const auto own = frozen.find(p.name); !p.value.requires_grad() && own != frozen.end())
      p.value.share(own->second);
}

template <class T, class D>
ServerOptions Simulation<T, D>::server_options(const SimulationOptions& o, const data::Partition& parts) {
  return {.ranks = ClientRanks(o.ranks, sizes(parts), o.seed),
          .clients = static_cast<Index>(parts.size()),
          .optimizer = o.server,
          .codecs = o.codecs,
          .limits = o.limits,
          .rounds_before = o.rounds_before,
          .weights_known = o.weights_known};
}

template <class T, class D>
std::vector<Index> Simulation<T, D>::sizes(const data::Partition& parts) {
  std::vector<Index> all;
  for (const auto& part : parts) all.push_back(static_cast<Index>(part.size()));
  return all;
}

// Defined outside the class: member functions defined inside are inline, and users of loru::compiled would
// compile them.

template <class T, class D>
Simulation<T, D>::Simulation(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, const data::Split& data,
                             data::Partition parts, const SimulationOptions& options, train::Task<T, D> task)
    : options_{options},
      task_{std::move(task)},
      train_{data.train},
      test_{data.test},
      validation_{data.validation},
      parts_{std::move(parts)},
      server_{std::move(model), std::move(algorithm), options.seed, server_options(options, parts_)},
      pool_{threads(options)},
      replicas_{[this] { return nn::Model<T, D>(server_.model()); }} {
  if (!options_.store) options_.store = std::make_shared<MemoryStore>();
  check_fields(options);
  require<ConfigError>(options.drops.before + options.drops.after <= 1.0,
                       "federation: drop_before and drop_after: expected a sum of at most 1, got ",
                       options.drops.before + options.drops.after);
  check(options.client);
  for (const data::Dataset* half : {&data.train, &data.test}) task_.outputs(*half);
  sample_cohort(options.seed, 1, clients(), options.cohort);
  require<ConfigError>(options.min_updates <= options.cohort,
                       "federation: min_updates: expected at most the cohort, ", options.cohort, ", got ",
                       options.min_updates);
  optim::make<T, D>(options.client.optimizer, {});
  server_.measure_aggregation(options.aggregation_error);
  for (std::size_t k = 0; k < parts_.size(); ++k)
    require<ConfigError>(!parts_[k].empty(), "federation: client ", k, ": expected at least one sample");
}

template <class T, class D>
Simulation<T, D>::~Simulation() = default;

template <class T, class D>
Round Simulation<T, D>::run_round(bool evaluated) {
  const auto begin = std::chrono::steady_clock::now();
  server_.begin_round();
  Round round{.index = server_.round(),
              .cohort = sample_cohort(options_.seed, server_.round(), clients(), options_.cohort)};
  std::vector<io::Archive> states(round.cohort.size());
  if (train_cohort(round, states) >= options_.min_updates) {
    round.train_loss = server_.finish_round();
    round.aggregation_error = server_.aggregation_error();
    for (std::size_t i = 0; i < states.size(); ++i)
      if (states[i].size() > 0) store().save(round.cohort[i], states[i]);
  }
  round.merges = server_.merges();
  round.train_seconds = seconds_since(begin);
  if (evaluated) {
    nn::Model<T, D> model = global_model();
    const train::Evaluation test = train::evaluate(model, test_, pool_, task_);
    round.test_accuracy = test.accuracy;
    round.test_loss = test.loss;
    round.test_metrics = test.metrics;
    if (validation_.size() > 0)
      round.validation_metrics = train::evaluate(model, validation_, pool_, task_).metrics;
  }
  round.seconds = seconds_since(begin);
  return round;
}

template <class T, class D>
Index Simulation<T, D>::train_cohort(Round& round, std::vector<io::Archive>& states) {
  std::vector<io::Archive> broadcasts;
  std::vector<Fate> fates;
  for (const Index client : round.cohort) {
    broadcasts.push_back(server_.offer(client));
    round.downlink_bytes += io::serialised_size(broadcasts.back());
    fates.push_back(fate_of(options_.drops, options_.seed, round.index, client));
    if (fates.back() == Fate::misses_broadcast) server_.lost(client);
    if (fates.back() == Fate::is_silent) server_.arrived(client);
    round.dropped += fates.back() != Fate::answers;
  }
  const auto unless_rejected = [&](auto step) {
    try {
      step();
      return true;
    } catch (const DivergedError&) {
      if (options_.diverged == Diverged::stop) throw;
      return false;
    }
  };
  Index folded = 0;
  run_in_order<std::optional<Message>>(
      pool_, options_.cohort,
      [&](Index i) {
        const auto at = static_cast<std::size_t>(i);
        std::optional<Message> update;
        if (fates[at] == Fate::answers)
          unless_rejected([&] { update = train_client(round.cohort[at], broadcasts[at], states[at]); });
        return update;
      },
      [&](Index i, std::optional<Message>&& update) {
        const auto at = static_cast<std::size_t>(i);
        if (fates[at] != Fate::answers) return;
        if (update) round.uplink_bytes += update->size();
        if (update && unless_rejected([&] { server_.receive(std::move(*update)); })) return void(++folded);
        ++round.rejected;
        states[at] = {};
        server_.arrived(round.cohort[at]);
      });
  return folded;
}

template <class T, class D>
nn::Model<T, D> Simulation<T, D>::global_model() {
  const AnyAlgorithm<T, D>& algorithm = server_.algorithm();
  return algorithm.evaluated ? algorithm.evaluated(server_.model(), store(), parts_) : server_.model();
}

template <class T, class D>
train::Evaluation Simulation<T, D>::evaluate() {
  nn::Model<T, D> model = global_model();
  return train::evaluate(model, test_, pool_, task_);
}

template <class T, class D>
std::optional<train::Evaluation> Simulation<T, D>::validate() {
  if (validation_.size() == 0) return std::nullopt;
  nn::Model<T, D> model = global_model();
  return train::evaluate(model, validation_, pool_, task_);
}

template <class T, class D>
PersonalAccuracy Simulation<T, D>::personal_accuracy(const PersonalOptions& o) {
  nn::Model<T, D> global = global_model();
  return fl::personal_accuracy(server_, global, store(), train_, test_, parts_, options_.client, o, pool_,
                               task_);
}

template <class T, class D, class A>
Simulation(nn::Model<T, D>, A, const data::Split&, data::Partition, SimulationOptions) -> Simulation<T, D>;
template <class T, class D, class A, class K>
Simulation(nn::Model<T, D>, A, const data::Split&, data::Partition, SimulationOptions, K) -> Simulation<T, D>;

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_SIMULATION(TEMPLATE, T) TEMPLATE class Simulation<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_SIMULATION(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
