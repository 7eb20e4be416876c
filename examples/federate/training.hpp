#pragma once
// Training and evaluation of a configuration on a device.

#include <chrono>
#include <new>

#include <loru/fl/client/versioned_store.hpp>
#include <loru/lowrank/rank.hpp>
#include <loru/train/tasks/tasks.hpp>

#include "checkpoint.hpp"
#include "describe.hpp"
#include "listener.hpp"
#include "output.hpp"
#include "parametrise.hpp"
#include "progress.hpp"

namespace federate {

/// A run on device D from its first round, or from a checkpoint, to its files.
template <class D>
class Training {
 public:
  Training(Setup& setup, loru::data::Partition parts, const RunOptions& options)
      : setup_{setup},
        task_{loru::train::make_task<float, D>(setup.configuration.task)},
        threads_{std::same_as<D, loru::Cpu> ? options.threads : 1},
        parts_{std::move(parts)},
        options_{options},
        checkpoint_every_{options.checkpoint_every.value_or(0)},
        start_{start_of(setup.model)} {
    const Configuration& c = setup.configuration;
    if (c.tensorboard) require_tensorboard();
    if (checkpoint_every_ > 0 || checkpoint()) {
      data_digest_ = data_digest(setup.data);
      configuration_digest_ = configuration_digest(c);
    }
    if (checkpoint()) take(get_state(*checkpoint()));
    // Also where a warm-up comes first: it checks.
    begin(model_on<D>(setup), make_algorithm<D>(c), c.simulation.server, 0);
    if (c.warmup_rounds > 0) begin(dense_model<D>(c, setup.data.train), loru::fl::FedAvg{}, {}, 0);
    if (checkpoint()) restore(*checkpoint());
  }

  /// Begins the folder's files, if it has one, once everything has been checked.
  void open_output() {
    if (options_.out.empty()) return;
    Resumption* resumption = options_.resumption.get();
    if (!resumption) lock_ = std::make_unique<FolderLock>(options_.out, "--out");
    if (checkpoint()) {
      go_on(*resumption->checkpoint);
      resumption->checkpoint.reset();
      return;
    }
    if (resumption)
      report_error(loru::concat("resume: ", options_.out, ": no checkpoint; beginning at round 1"));
    output_.emplace(options_.out, setup_, resumption ? Begin::again : Begin::anew);
    open_events();
    keep_round();
    if (checkpoint_every_ > 0) write_checkpoint();
    output_->write_config(setup_);
  }

  /// On a process other than the server's, which has the run: does its part until the run ends.
  void serve() {
    if (options_.resumption) options_.resumption->checkpoint.reset();
    if (setup_.configuration.warmup_rounds > 0) {
      if (!simulation_->serve()) return;
      end_warm_up();
    }
    simulation_->serve();
  }

  ExitCode operator()() {
    progress_.line(headline(setup_));
    if (goes_on_) progress_.line(loru::concat("going on from round ", totals_.rounds));
    ExitCode code = success;
    try {
      train();
      if (totals_.rounds < setup_.configuration.rounds && !stopped_after_) code = interrupted;
    } catch (const loru::DivergedError& error) {
      failure_ = error.what();
      diverged_ = true;
      code = failed_run;
    }
    if (code == success && totals_.folded == 0) {
      failure_ =
          loru::concat("no round folded as many updates as federation.min_updates asks: ", totals_.dropped,
                       " dropped out, ", totals_.rejected, " were rejected");
      code = failed_run;
    }
    finish(code);
    return code;
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// The folder's files as they were when the checkpoint was written.
  void go_on(const Checkpoint& from) {
    settle(from);
    write_rounds(options_.out, rounds_text(from.archive));
    progress_.begin_after(totals_.rounds);
    output_.emplace(options_.out, setup_, Begin::going_on, totals_.rounds);
    open_events();
    if (best_round_) {
      Model model = host_model();
      auto best = loru::io::to_archive(model);
      take_best(from.archive, best);
      output_->keep_best(best);
    }
    if (versions_) versions_->clean(from.before ? &*from.before : nullptr);
  }

  /// Begins a file of events if they are wanted, after those of the rounds that are done.
  void open_events() {
    if (!setup_.configuration.tensorboard) return;
    events_ = begin_events(std::filesystem::path(options_.out) / events_folder, event_sizes_);
    if (event_sizes_.empty()) events_->add_text("configuration", "```toml\n" + config_text(setup_) + "```\n");
  }

  /// The round that has just ended, with the factors that it came to.
  void add_events(const loru::fl::Round& round) {
    RoundEvents events = round_events(round, task_.metrics, static_cast<Index>(totals_.uplink_bytes));
    auto model = simulation_->global_model();
    for (const auto& [name, value, role] : model.parameters())
      if (role != loru::nn::Role::dense && role != loru::nn::Role::frozen)
        events.histograms["factors/" + name] = loru::to_host(value.value());
    events_->add(events);
  }

  /// From now on this model is trained with this algorithm, after so many rounds of a warm-up.
  void begin(loru::nn::Model<float, D> model, loru::fl::AnyAlgorithm<float, D> algorithm,
             const loru::fl::ServerOptimizer& server, Index rounds_before) {
    const Configuration& c = setup_.configuration;
    loru::fl::SimulationOptions options = c.simulation;
    options.cohort = cohort_size(c);
    options.server = server;
    options.seed = static_cast<std::uint64_t>(c.seed);
    options.threads = options_.threads;
    options.executor = options_.executor;
    options.store = store();
    options.rounds_before = rounds_before;
    options.weights_known = rounds_before == 0;
    simulation_.emplace(std::move(model), std::move(algorithm), setup_.data, parts_, options, task_);
  }

  bool is_server() const { return !options_.executor || options_.executor->rank() == 0; }

  /// Whether the run has files, which are this process's.
  bool has_files() const { return is_server() && !options_.out.empty(); }

  /// Where the states of an algorithm's clients are kept; none: in memory.
  std::shared_ptr<loru::fl::ClientStore> store() {
    if (!has_files()) return nullptr;
    if (checkpoint_every_ > 0 || goes_on_) {  // states of a checkpoint are versions
      if (!versions_) versions_ = std::make_shared<loru::fl::VersionedStore>(states_folder());
      return versions_;
    }
    if (setup_.configuration.state_on_disk) return std::make_shared<loru::fl::DiskStore>(states_folder());
    return nullptr;
  }

  std::filesystem::path states_folder() const { return std::filesystem::path(options_.out) / "clients"; }

  /// The dense model in the algorithm's parametrisation, after the rounds of the warm-up.
  void begin_low_rank(loru::nn::Model<float, D> model, Index rounds) {
    const Configuration& c = setup_.configuration;
    auto algorithm = make_algorithm<D>(c);
    if (is_server()) simulation_->release();  // the other processes do the same
    parametrise(c, algorithm, model);
    begin(std::move(model), std::move(algorithm), c.simulation.server, rounds);
  }

  /// After the dense rounds. Their client states are not the algorithm's.
  void end_warm_up() {
    if (has_files()) versions_ ? versions_->forget() : loru::fl::DiskStore(states_folder()).clear();
    begin_low_rank(simulation_->model(), totals_.rounds);
    auto host = host_model();
    start_ = start_of(host);
    test_.reset();
  }

  void train() {
    progress_.draw(totals_);
    if (warming_up_) warm_up();
    warming_up_ = false;
    rounds_up_to(setup_.configuration.rounds);
  }

  void warm_up() {
    const Index rounds = setup_.configuration.warmup_rounds;
    try {
      rounds_up_to(rounds);
    } catch (const loru::DivergedError&) {
      end_warm_up();
      throw;
    }
    if (rounds > 0) end_warm_up();
  }

  void rounds_up_to(Index last) {
    const Index rounds = setup_.configuration.rounds;
    while (totals_.rounds < last && !stop_wanted && !ended_ && !stopped_after_) {
      const bool wanted = simulation_->wants_evaluation(totals_.rounds + 1 == rounds);
      const Index merges = simulation_->server().merges();
      const loru::fl::Round round = simulation_->run_round(wanted);
      totals_.add(round);
      if (output_) output_->add(round);
      if (!round.rejection.empty()) report_rejection(round);
      if (events_) add_events(round);
      if (simulation_->server().merges() > merges) keep_merge(round.index);
      progress_.round(round, totals_);
      keep_round();
      test_.reset();
      if (round.evaluated()) {
        test_ = {round.test_accuracy, round.test_loss, setup_.data.test.size(), round.test_metrics};
        validation_ = round.validation_metrics;
        if (!warming_up_) compare(round);
      }
      if (options_.listener) ended_ = !options_.listener->round(setup_, round);
      if (checkpoint_every_ > 0 && totals_.rounds % checkpoint_every_ == 0) write_checkpoint();
    }
    if (checkpoint_every_ > 0 && last_checkpoint_ != totals_.rounds) write_checkpoint();
  }

  static constexpr const char* start_prefix = "start/";

  /// What the run goes on from; null if it begins at round 1.
  const loru::io::Archive* checkpoint() const {
    const auto& from = options_.resumption;
    return from && from->checkpoint ? &from->checkpoint->archive : nullptr;
  }

  /// Everything that the rounds to come depend on. States of clients are on disk already.
  void write_checkpoint() {
    loru::io::Archive archive("checkpoint");
    simulation_->save(archive);
    put_state(archive, {totals_, warming_up_, best_, best_round_, stopped_after_, test_, validation_,
                        checkpoint_every_, events_ ? events_->synchronise() : EventSizes{}, data_digest_,
                        configuration_digest_});
    put_rounds_text(archive, output_->rounds_text());
    if (best_round_) put_best(archive, output_->best());
    if (starts_trained())
      for (const auto& [layer, weight] : start_weights()) archive.share(start_prefix + layer, weight);
    versions_->clean(Checkpoints(options_.out).write(totals_.rounds, std::move(archive)));
    last_checkpoint_ = totals_.rounds;
  }

  void take(const ProgramState& state) {
    require_configuration(state.configuration);
    totals_ = state.totals;
    warming_up_ = state.warming_up;
    best_ = state.best;
    best_round_ = state.best_round;
    stopped_after_ = state.stopped_after;
    test_ = state.test;
    validation_ = state.validation;
    if (!options_.checkpoint_every) checkpoint_every_ = state.every;
    last_checkpoint_ = totals_.rounds;
    event_sizes_ = state.events;
    require_data(state.data);
  }

  /// Throws ConfigError unless the checkpoint is of this configuration.
  void require_configuration(const std::string& began_with) const {
    constexpr std::size_t shown = 16;
    loru::require<loru::ConfigError>(configuration_digest_ == began_with, "resume: ", checkpoint()->origin(),
                                     ": expected the configuration with sha256 ",
                                     configuration_digest_.substr(0, shown), ", got ",
                                     began_with.substr(0, shown));
  }

  /// Throws ConfigError unless the data are those that the run began with.
  void require_data(const std::string& began_with) const {
    constexpr std::size_t shown = 16;
    loru::require<loru::ConfigError>(data_digest_ == began_with, "resume: data: the run has sha256 ",
                                     began_with.substr(0, shown), ", got ", data_digest_.substr(0, shown));
  }

  /// The simulation as it was when the checkpoint was written.
  void restore(const loru::io::Archive& from) {
    const Configuration& c = setup_.configuration;
    if (starts_trained()) begin_low_rank(dense_model<D>(c, setup_.data.train), c.warmup_rounds);
    simulation_->restore(from);
    if (!starts_trained()) return;
    Model model = host_model();
    for (const auto& [layer, w] : loru::lowrank::effective_weights(model))
      start_weights_[layer] = to_layout(from.get<float>(start_prefix + layer, w.shape()), w.layout());
  }

  /// Whether the algorithm's rounds have begun, at weights that a warm-up has trained.
  bool starts_trained() const { return !warming_up_ && setup_.configuration.warmup_rounds > 0; }

  /// The effective weights of the factored layers before their first round.
  std::map<std::string, loru::Tensor<float>> start_weights() {
    return start_weights_.empty() ? loru::lowrank::effective_weights(start_) : start_weights_;
  }

  /// Why the round went on without the first client that it rejected; a listener has it in its own round.
  void report_rejection(const loru::fl::Round& round) {
    if (options_.listener) return;
    progress_.end();
    report_error(loru::concat("round ", round.index, ": rejected ", round.rejected, " of ",
                              round.cohort.size(), ": ", round.rejection));
  }

  /// Keeps the factors that the round has merged, if they are wanted.
  void keep_merge(Index round) {
    totals_.merge_rounds.push_back(round);
    if (output_ && keeps_merges(setup_.configuration))
      output_->keep_merge(round, simulation_->server().last_merge());
  }

  /// Keeps the model of the round that has just ended, if it is wanted.
  void keep_round() {
    if (!output_) return;
    const std::vector<Index>& rounds = setup_.configuration.keep_rounds;
    if (!std::binary_search(rounds.begin(), rounds.end(), totals_.rounds)) return;
    auto model = simulation_->global_model();
    output_->keep_round(totals_.rounds, loru::io::to_archive(model));
  }

  /// Keeps the model if it is the best so far, and ends the run if it is as good as wanted: by the task's
  /// first metric, on the validation set where there is one.
  void compare(const loru::fl::Round& round) {
    const Configuration& c = setup_.configuration;
    const double value =
        (round.validation_metrics.empty() ? round.test_metrics : round.validation_metrics)[0];
    const double sign = task_.metrics[0].higher_is_better ? 1.0 : -1.0;
    if (c.keep_best && (best_ ? sign * value > sign * *best_ : !std::isnan(value))) {
      best_ = value;
      best_round_ = round.index;
      Model model = host_model();
      if (output_) output_->keep_best(loru::io::to_archive(model));
    }
    if (c.stop_at && sign * value >= sign * *c.stop_at) stopped_after_ = round.index;
  }

  /// The model as it is, on test and validation set.
  void evaluate() {
    test_ = simulation_->evaluate();
    if (const auto validation = simulation_->validate()) validation_ = validation->metrics;
  }

  /// Writes the last good model and its summary, and says how it went.
  void finish(ExitCode code) {
    const Index ranks = options_.executor ? options_.executor->ranks() : 1;
    if (std::ssize(totals_.turns_by_rank) < ranks)
      totals_.turns_by_rank.resize(static_cast<std::size_t>(ranks));
    Model model = host_model();
    if (!test_) evaluate();
    Outcome outcome{.test = *test_,
                    .validation = validation_,
                    .merges = simulation_->server().merges(),
                    .threads = threads_,
                    .ranks = ranks,
                    .executor = options_.executor ? "mpi" : "threads",
                    .model_sha256 = sha256(loru::io::to_archive(model)),
                    .best_round = best_round_,
                    .stopped_after = stopped_after_,
                    .diverged = diverged_};
    if constexpr (requires { graph_launches(D{}); }) outcome.graph_launches = graph_launches(D{});
    const auto start = start_weights();
    for (const auto& [layer, weight] : loru::lowrank::effective_weights(model))
      if (all_finite(weight))
        outcome.update_rank[layer] = loru::lowrank::update_rank(weight, start.at(layer));
    if (code != interrupted) look_at_clients(model, start, outcome);
    outcome.wall_seconds = std::chrono::duration<double>(Clock::now() - options_.begin).count();
    if (events_) events_->synchronise();
    const std::string summary = summary_text(setup_, model, totals_, outcome);
    if (output_) output_->finish(setup_, parts_, model, summary, outcome.personal);
    progress_.end();
    const std::string problem =
        problem_of(code, totals_.rounds, setup_.configuration.rounds, failure_, options_.out);
    if (options_.listener) return options_.listener->finished(setup_, model, {code, problem, summary});
    if (code != success) return report_error(problem);
    progress_.outcome(totals_, outcome, setup_.configuration.stop_at);
    progress_.line("written to " + options_.out);
  }

  /// The model as it is evaluated, on the host.
  Model host_model() {
    auto model = simulation_->global_model();
    if constexpr (std::same_as<D, loru::Cpu>) {
      return model;
    } else {
      loru::nn::copy_values(model, setup_.model);
      return setup_.model;
    }
  }

  /// Personal accuracy, and how personal updates relate to the shared one.
  void look_at_clients(Model& model, const std::map<std::string, loru::Tensor<float>>& start,
                       Outcome& outcome) {
    const Configuration& c = setup_.configuration;
    if (c.personal_images > 0) {
      const auto personal = simulation_->personal_accuracy({.images = c.personal_images});
      if (personal.clients > 0) outcome.personal = personal;
    }
    with_algorithm(c, [&](const auto& algorithm) {
      if constexpr (requires { algorithm.personal_scale(); })
        outcome.overlap =
            loru::fl::personal_overlap(model, start, simulation_->store(), algorithm.personal_scale());
    });
  }

  Setup& setup_;
  loru::train::Task<float, D> task_;
  Index threads_;
  loru::data::Partition parts_;
  const RunOptions& options_;
  Index checkpoint_every_;
  bool goes_on_ = checkpoint() != nullptr;                    // from a checkpoint
  std::optional<Index> last_checkpoint_ = {};                 // its round
  std::string data_digest_ = {}, configuration_digest_ = {};  // where there are checkpoints
  std::unique_ptr<FolderLock> lock_;                          // unless what the run goes on from has it
  Model start_;  // with the effective weights of the factored layers before their first round,
  std::map<std::string, loru::Tensor<float>> start_weights_;  // or those of a run that goes on
  std::shared_ptr<loru::fl::VersionedStore> versions_;        // with checkpoints
  std::optional<loru::fl::Simulation<float, D>> simulation_;
  std::optional<Output> output_;       // once it is open
  std::unique_ptr<EventFile> events_;  // if they are wanted
  EventSizes event_sizes_;             // at the checkpoint that the run goes on from
  Progress progress_{options_.quiet, setup_.configuration.rounds, task_.metrics};
  Totals totals_;
  std::optional<loru::train::Evaluation> test_;  // of the model as it is, if it was evaluated
  std::vector<double> validation_;               // metrics of the same
  bool warming_up_ = true;
  std::optional<double> best_;  // the first metric of the model that is kept
  std::optional<Index> best_round_, stopped_after_;
  std::string failure_;
  bool diverged_ = false;
  bool ended_ = false;  // by the listener
};

/// Trains and writes the run's files. Throws what is thrown before the first round; what comes later is a
/// failed run.
template <class D>
ExitCode train_on(Setup& setup, loru::data::Partition parts, const RunOptions& options) {
  Training<D> training(setup, std::move(parts), options);
  if (options.executor && options.executor->rank() > 0) {
    training.serve();
    return success;
  }
  training.open_output();
  try {
    return training();
  } catch (const std::bad_alloc&) {
    if (options.listener) throw;
    report_error("out of memory");
  } catch (const std::exception& error) {
    if (options.listener) throw;
    report_error(error.what());
  }
  return failed_run;
}

/// The setup's model on the test set.
template <class D>
loru::train::Evaluation evaluate_on(Setup& setup, Index threads) {
  auto model = model_on<D>(setup);
  loru::WorkerPool pool(std::same_as<D, loru::Cpu> ? threads : 1);
  return loru::train::evaluate(model, setup.data.test, pool,
                               loru::train::make_task<float, D>(setup.configuration.task));
}

}  // namespace federate
