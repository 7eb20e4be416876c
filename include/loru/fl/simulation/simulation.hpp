#pragma once
// A whole federation, simulated.

#include <array>
#include <chrono>
#include <cstring>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>

#include <loru/data/partition/common.hpp>
#include <loru/fl/client/turn.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/fl/simulation/executor.hpp>
#include <loru/fl/simulation/lender.hpp>
#include <loru/fl/simulation/overlap.hpp>
#include <loru/fl/simulation/personal.hpp>
#include <loru/fl/simulation/replica.hpp>
#include <loru/fl/simulation/round.hpp>
#include <loru/fl/simulation/sampler.hpp>
#include <loru/fl/simulation/window.hpp>
#include <loru/train/evaluate.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

inline Message as_message(std::span<const double> numbers) {
  const auto bytes = std::as_bytes(numbers);
  return {bytes.begin(), bytes.end()};
}

inline std::vector<double> numbers(const Message& message) {
  std::vector<double> all(message.size() / sizeof(double));
  std::memcpy(all.data(), message.data(), message.size());
  return all;
}

}  // namespace detail

/// Simulates a federation: clients of a partition train in parallel, one thread each, over one shared copy of
/// the frozen weights. The model depends on the seed and the options, not on the number of threads. On a
/// device other than the host clients train one after the other, as with one thread, and the data lie there
/// once.
template <class T, class D = Cpu>
class Simulation {
 public:
  /// Client k owns the training samples parts.samples(k). Throws ConfigError as check() and sample_cohort()
  /// do, for a client without samples and for data whose targets are not the task's. Keeps a reference to the
  /// data, which must outlive the simulation.
  Simulation(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, const data::Split& data,
             data::Partition parts, const SimulationOptions& options,
             train::Task<T, D> task = train::Classification{});
  Simulation(nn::Model<T, D>, AnyAlgorithm<T, D>, const data::Split&&, data::Partition,
             const SimulationOptions&, train::Task<T, D> = train::Classification{}) = delete;
  ~Simulation();

  nn::Model<T, D>& model() { return server_.model(); }
  Server<T, D>& server() { return server_; }
  ClientStore& store() { return *options_.store; }
  Index clients() const { return parts_.clients(); }

  /// Adds all that the simulation's future depends on, the server's and the clients' states, between rounds
  /// (Server::save, ClientStore::put_into); and goes on from there, in a simulation made as that one was.
  /// restore() throws DataError, and changes nothing then.
  void save(io::Archive& archive);
  void restore(const io::Archive& archive);

  /// One round of Algorithm 1: broadcast, local training, averaging, and what the algorithm does after a
  /// round. Throws DivergedError and keeps the state of the round before, the clients' too. With
  /// Diverged::reject a client that diverges is left out of the round instead.
  Round run_round(bool evaluated);

  /// On a process of the executor other than 0, in place of rounds: does its part of the rounds of process 0,
  /// whose simulation was made with the same arguments but for the store. True when process 0 calls
  /// release(): the model is then as it is there. False when the run ends.
  bool serve();

  /// On process 0: ends serve() on the others. Elsewhere nothing.
  void release();

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

  /// The accuracy of the clients' personal models. Clients of whose classes there are no test images are left
  /// out; if targets are not classes, all clients are.
  PersonalAccuracy personal_accuracy(const PersonalOptions& o = {});

  /// Whether the next round is to be evaluated.
  bool wants_evaluation(bool last) const {
    return options_.eval_every > 0 && (last || (server_.round() + 1) % options_.eval_every == 0);
  }

 private:
  /// The clients' turns, their answers and the server's next state. The new states of clients whose updates
  /// were folded hold from then on.
  void finish_round(Round& round);

  /// The jobs of the clients that answer; those that do not are told to the server.
  std::vector<Job> offer_turns(Round& round);

  /// The answer of a client of the round, folded; false if it is rejected.
  bool take_in(Round& round, Index client, Answer&& answer);

  /// Does a job of the executor: a client's turn, or a batch of an evaluation.
  Answer work(const Job& job, const Bytes& own);

  static Bytes message_of(io::Archive&& archive, const char* kind) {
    archive.metadata()["kind"] = kind;
    return std::make_shared<const Message>(io::serialise(archive));
  }

  /// Brings the models of other processes to the server's.
  void tell();

  /// The global model is evaluated next, here and there.
  void show_global();

  /// The other side of both.
  void hear(const Bytes& news);

  /// A client's turn on a borrowed model, which shares the server's frozen weights.
  Answer train_client(Index client, io::Archive broadcast, const Bytes& kept);

  /// The global model on the test or the validation set, batch by batch.
  train::Evaluation evaluate_on(bool validation);

  /// A batch of that, of the model that is being evaluated.
  Answer observe(Index batch, bool validation);

  /// Asks for a client's personal accuracy; `ranks` are the client's if the server resizes.
  Bytes personal_request(Index images, const std::vector<Index>& ranks) const;

  /// The answer: two numbers, none where no test images are of the client's classes.
  Answer look_at(Index client, const io::Archive& request, const Bytes& kept);

  /// Makes the frozen weights of a replica handles of the server's, by name. The replica may have other
  /// parameters too, from the algorithm.
  void share_frozen(nn::Model<T, D>& model);

  static ServerOptions server_options(const SimulationOptions& o, const data::Partition& parts);

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
  Lender<nn::Model<T, D>> replicas_;
  nn::Model<T, D> evaluated_;          // the global model, until the next round
  std::optional<Replica<T, D>> told_;  // what other processes know of the model
};

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

#include <loru/fl/simulation/simulation_members.hpp>
