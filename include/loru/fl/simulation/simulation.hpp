#pragma once
// A whole federation in one process.

#include <chrono>
#include <cmath>
#include <iterator>
#include <limits>
#include <mutex>

#include <loru/data/partition/common.hpp>
#include <loru/fl/client/store.hpp>
#include <loru/fl/simulation/executor.hpp>
#include <loru/fl/simulation/personal.hpp>
#include <loru/fl/simulation/sampler.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/train/evaluate.hpp>

namespace loru::inline LORU_ISA::fl {

struct SimulationOptions {
  Index cohort = 10;
  ClientOptions client{};
  RankOptions ranks{};
  ServerOptimizer server{};
  Codecs codecs{};
  std::uint64_t seed = 1;
  Index threads = 1;
  /// Evaluates after every k-th round and after the last of a range; 0 never evaluates.
  Index eval_every = 1;
  /// Where clients' states live between rounds; none: in memory.
  std::shared_ptr<ClientStore> store{};
  /// Measures what each fold loses (Server::measure_aggregation).
  bool aggregation_error = false;
  /// Rounds that were run before, as a warm-up, and whether clients know the first frozen weights: see ServerOptions.
  Index rounds_before = 0;
  bool weights_known = true;

  static constexpr auto fields() {
    using S = SimulationOptions;
    return std::tuple{
        field("federation.eval_every", &S::eval_every, range::at_least(0),
              "rounds between two evaluations; the last round is evaluated too, 0 evaluates none"),
        field("federation.aggregation_error", &S::aggregation_error,
              "measures the aggregation error of each round; its mean is in summary.json"),
        section("", &S::client), section("ranks", &S::ranks), section("server", &S::server),
        section("codec", &S::codecs)};
  }
};

/// What a round did. Accuracy and loss on the test set are NaN where it was not evaluated, accuracy also where the task has
/// none.
struct Round {
  Index index = 0;
  std::vector<Index> cohort{};
  double train_loss = 0.0;
  double test_accuracy = std::numeric_limits<double>::quiet_NaN();
  double test_loss = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> test_metrics{};  ///< in the task's order; none where it was not evaluated
  std::uint64_t uplink_bytes = 0, downlink_bytes = 0;
  Index merges = 0;                                   ///< so far
  std::map<std::string, double> aggregation_error{};  ///< by layer, if measured
  double train_seconds = 0.0;                         ///< without evaluation
  double seconds = 0.0;

  bool evaluated() const { return !test_metrics.empty(); }
};

/// Simulates a federation: clients of a partition train in parallel, one thread each, over one shared copy of the frozen
/// weights. The model depends on the seed and the options, not on the number of threads. On a device other than the host
/// clients train one after the other, as with one thread, and the data lie there once.
template <class T, class D = Cpu>
class Simulation {
 public:
  /// Client k owns the training samples parts[k]. Throws ConfigError as check() and sample_cohort() do, for a client
  /// without samples and for data whose targets are not the task's. Keeps a reference to the data, which must outlive the simulation.
  Simulation(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, const data::Split& data,
             data::Partition parts, const SimulationOptions& options,
             train::Task<T, D> task = train::Classification{})
      : options_{options},
        task_{std::move(task)},
        train_{data.train},
        test_{data.test},
        parts_{std::move(parts)},
        server_{std::move(model), std::move(algorithm), options.seed, server_options(options, parts_)},
        pool_{threads(options)},
        replicas_{[this] { return nn::Model<T, D>(server_.model()); }} {
    if (!options_.store) options_.store = std::make_shared<MemoryStore>();
    check_fields(options);
    check(options.client);
    for (const data::Dataset* half : {&data.train, &data.test}) task_.outputs(*half);
    sample_cohort(options.seed, 1, clients(), options.cohort);
    optim::make<T, D>(options.client.optimizer, {});
    server_.measure_aggregation(options.aggregation_error);
    for (std::size_t k = 0; k < parts_.size(); ++k)
      require<ConfigError>(!parts_[k].empty(), "federation: client ", k, ": expected at least one sample");
  }
  Simulation(nn::Model<T, D>, AnyAlgorithm<T, D>, const data::Split&&, data::Partition,
             const SimulationOptions&, train::Task<T, D> = train::Classification{}) = delete;

  nn::Model<T, D>& model() { return server_.model(); }
  Server<T, D>& server() { return server_; }
  ClientStore& store() { return *options_.store; }
  Index clients() const { return static_cast<Index>(parts_.size()); }

  /// One round of Algorithm 1: broadcast, local training, averaging, and what the algorithm does after a round.
  /// Throws DivergedError and keeps the state of the round before, the clients' too.
  Round run_round(bool evaluated) {
    const auto begin = std::chrono::steady_clock::now();
    server_.begin_round();
    Round round{.index = server_.round(),
                .cohort = sample_cohort(options_.seed, server_.round(), clients(), options_.cohort)};
    std::vector<io::Archive> states(round.cohort.size());
    std::mutex server;  // one client at a time
    run_in_order<Message>(
        pool_, options_.cohort,
        [&](Index i) {
          const Index client = round.cohort[static_cast<std::size_t>(i)];
          std::unique_lock lock{server};
          const Message broadcast = server_.broadcast(client);
          round.downlink_bytes += broadcast.size();
          lock.unlock();
          return train_client(client, broadcast, states[static_cast<std::size_t>(i)]);
        },
        [&](Index, Message&& update) {
          std::lock_guard lock{server};
          round.uplink_bytes += update.size();
          server_.receive(std::move(update));
        });
    round.train_loss = server_.finish_round();
    for (std::size_t i = 0; i < states.size(); ++i)
      if (states[i].size() > 0) store().save(round.cohort[i], states[i]);
    round.merges = server_.merges();
    round.aggregation_error = server_.aggregation_error();
    round.train_seconds = seconds_since(begin);
    if (evaluated) {
      const train::Evaluation test = evaluate();
      round.test_accuracy = test.accuracy;
      round.test_loss = test.loss;
      round.test_metrics = test.metrics;
    }
    round.seconds = seconds_since(begin);
    return round;
  }

  /// Rounds as a range that runs them one by one while it is iterated over.
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

  /// The model that is evaluated: the server's, with the mean of what clients keep where the algorithm says so.
  nn::Model<T, D> global_model() {
    const AnyAlgorithm<T, D>& algorithm = server_.algorithm();
    if (!algorithm.evaluates_mean) return server_.model();
    return with_mean_of_own(server_.model(), algorithm.personal, store(), parts_);
  }

  train::Evaluation evaluate() {
    if (!server_.algorithm().evaluates_mean)
      return train::evaluate(server_.model(), test_, pool_, task_);
    nn::Model<T, D> model = global_model();
    return train::evaluate(model, test_, pool_, task_);
  }

  /// How well each client is served by its own model.
  PersonalAccuracy personal_accuracy(const PersonalOptions& o = {}) {
    nn::Model<T, D> global = global_model();
    return fl::personal_accuracy(server_, global, store(), train_, test_, parts_, options_.client, o,
                                 pool_, task_);
  }

  /// Whether the next round is to be evaluated.
  bool wants_evaluation(bool last) const {
    return options_.eval_every > 0 && (last || (server_.round() + 1) % options_.eval_every == 0);
  }

 private:
  /// A client's turn on a borrowed model. Merges are in the server's weights already, which the model shares.
  Message train_client(Index client, std::span<const std::byte> broadcast, io::Archive& state) {
    if (auto kept = store().load(client)) state = *std::move(kept);
    auto loan = replicas_.borrow();
    nn::Model<T, D>& model = *loan;
    if (server_.resizes())
      model = server_.client_model(client);  // factors that are not sent are of its rank too
    share_frozen(model);
    const io::Archive archive =
        decode_broadcast<T>(io::borrow(broadcast, "broadcast"), coded_tensors(model), state);
    server_.algorithm().begin_turn(model, archive);
    const auto& samples = parts_[static_cast<std::size_t>(client)];
    return server_.algorithm().take_turn(model, archive, train_, samples, options_.client, state,
                                         task_);
  }

  /// Lets the model's frozen weights be the server's, by name: an algorithm may give the replica other parameters.
  void share_frozen(nn::Model<T, D>& model) {
    std::map<std::string, Tensor<T, D>> frozen;
    for (auto& p : server_.model().parameters())
      if (!p.value.requires_grad()) frozen.emplace(p.name, p.value.value());
    for (auto& p : model.parameters())
      if (const auto own = frozen.find(p.name); !p.value.requires_grad() && own != frozen.end())
        p.value.set_value(own->second);
  }

  static ServerOptions server_options(const SimulationOptions& o, const data::Partition& parts) {
    return {.ranks = ClientRanks(o.ranks, sizes(parts), o.seed),
            .clients = static_cast<Index>(parts.size()),
            .optimizer = o.server,
            .codecs = o.codecs,
            .rounds_before = o.rounds_before,
            .weights_known = o.weights_known};
  }

  /// Samples of each client.
  static std::vector<Index> sizes(const data::Partition& parts) {
    std::vector<Index> all;
    for (const auto& part : parts) all.push_back(static_cast<Index>(part.size()));
    return all;
  }

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
  DeviceData<D> train_, test_;
  data::Partition parts_;
  Server<T, D> server_;
  WorkerPool pool_;
  Lender<nn::Model<T, D>> replicas_;
};

template <class T, class D, class A>
Simulation(nn::Model<T, D>, A, const data::Split&, data::Partition, SimulationOptions) -> Simulation<T, D>;
template <class T, class D, class A, class K>
Simulation(nn::Model<T, D>, A, const data::Split&, data::Partition, SimulationOptions, K) -> Simulation<T, D>;

#ifdef LORU_COMPILED
extern template class Simulation<float>;
#endif

}  // namespace loru::fl
