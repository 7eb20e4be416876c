#include "run.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>

#include <loru/lowrank/rank.hpp>

#include "describe.hpp"
#include "progress.hpp"

namespace federate {

namespace {

using Clock = std::chrono::steady_clock;
const Clock::time_point program_start = Clock::now();

volatile std::sig_atomic_t stop_wanted = 0;

extern "C" void want_stop(int) { stop_wanted = 1; }

/// Ctrl-C and SIGTERM ask for an end after the current round; a second one ends the program at once.
void catch_interrupts() {
  struct ::sigaction action{};
  action.sa_handler = want_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

/// A run from its first round to its files.
class Run {
 public:
  Run(Setup& setup, loru::data::Partition parts, const RunOptions& options)
      : setup_{setup},
        threads_{options.threads},
        simulation_{setup.model, make_algorithm(setup.configuration), setup.data, std::move(parts),
                    simulation_options(setup.configuration, options)},
        start_{loru::lowrank::effective_weights(simulation_.model())},
        output_{options.out, setup},
        progress_{options.quiet, setup.configuration.rounds} {}

  ExitCode operator()() {
    progress_.line(headline(setup_));
    ExitCode code = success;
    try {
      train();
      if (totals_.rounds < setup_.configuration.rounds) code = interrupted;
    } catch (const loru::DivergedError& error) {
      failure_ = error.what();
      code = failed_run;
    }
    finish(code);
    return code;
  }

 private:
  static loru::fl::SimulationOptions simulation_options(const Configuration& c, const RunOptions& options) {
    const auto disk = std::make_shared<loru::fl::DiskStore>(std::filesystem::path(options.out) / "clients");
    disk->clear();
    return {.cohort = cohort_size(c),
            .client = c.client,
            .ranks = c.ranks,
            .seed = static_cast<std::uint64_t>(c.seed),
            .threads = options.threads,
            .eval_every = c.eval_every,
            .store = c.state_on_disk ? disk : nullptr};
  }

  void train() {
    const Index rounds = setup_.configuration.rounds;
    progress_.draw(totals_);
    for (Index r = 1; r <= rounds && !stop_wanted; ++r) {
      const loru::fl::Round round = simulation_.run_round(simulation_.wants_evaluation(r == rounds));
      totals_.add(round);
      output_.add(round);
      progress_.round(round, totals_);
      test_.reset();
      if (round.evaluated()) test_ = {round.test_accuracy, round.test_loss, setup_.data.test.size()};
    }
  }

  /// Writes the last good model and its summary, and says how it went.
  void finish(ExitCode code) {
    Model& model = simulation_.model();
    Outcome outcome{.test = test_ ? *test_ : simulation_.evaluate(),
                    .merges = simulation_.server().merges(),
                    .threads = threads_,
                    .model_sha256 = sha256(loru::io::to_archive(model))};
    for (const auto& [layer, weight] : loru::lowrank::effective_weights(model))
      outcome.update_rank[layer] = loru::lowrank::update_rank(weight, start_.at(layer));
    outcome.wall_seconds = std::chrono::duration<double>(Clock::now() - program_start).count();
    output_.finish(setup_, model, totals_, outcome);
    progress_.end();
    const std::string folder = output_.folder().string();
    if (code == failed_run) {
      const bool any = totals_.rounds > 0;
      report_error(loru::concat(failure_, "; the model ", any ? "of round " : "before the first round",
                                any ? std::to_string(totals_.rounds) : "", " is in ", folder));
    } else if (code == interrupted) {
      report_error(loru::concat("stopped after round ", totals_.rounds, " of ", setup_.configuration.rounds,
                                "; everything up to it is in ", folder));
    } else {
      show(outcome, folder);
    }
  }

  void show(const Outcome& outcome, const std::string& folder) {
    char accuracy[64];
    std::snprintf(accuracy, sizeof accuracy, "accuracy %.2f %%, loss %.4f", 100.0 * outcome.test.accuracy,
                  outcome.test.loss);
    const double turns = static_cast<double>(std::max<Index>(totals_.cohorts, 1));
    progress_.line(loru::concat(accuracy, ", ", outcome.merges, " merges, ",
                                human_bytes(static_cast<double>(totals_.uplink_bytes) / turns),
                                " up a client and round, trained in ", human_time(totals_.train_seconds)));
    for (const auto& [layer, rank] : outcome.update_rank)
      progress_.line(loru::concat("update of ", layer, ": rank ", rank));
    progress_.line("written to " + folder);
  }

  Setup& setup_;
  Index threads_;
  loru::fl::Simulation<float> simulation_;
  std::map<std::string, loru::Tensor<float>> start_;  // effective weights of the factored layers
  Output output_;
  Progress progress_;
  Totals totals_;
  std::optional<loru::fl::Evaluation> test_;  // of the model as it is, if it was evaluated
  std::string failure_;
};

}  // namespace

ExitCode run(const std::string& file, const Overrides& overrides, const RunOptions& options) {
  const Configuration configuration = read_configuration(file, overrides);
  if (options.explain) {
    explain(std::cout, set_up_shapes(configuration));
    return success;
  }
  Setup setup = set_up(configuration);
  loru::data::Partition parts = make_partition(setup);
  if (options.describe) {
    describe(std::cout, setup, parts);
    return success;
  }
  Run training(setup, std::move(parts), options);
  catch_interrupts();
  try {
    return training();
  } catch (const std::exception& error) {
    report_error(error.what());
    return failed_run;
  }
}

ExitCode evaluate(const std::string& folder, const Overrides& overrides, Index threads) {
  const std::filesystem::path path = folder;
  Setup setup = set_up(read_configuration((path / "config.toml").string(), overrides));
  loru::io::load(setup.model, path / "model.safetensors");
  loru::WorkerPool pool(threads);
  const loru::fl::Evaluation test = loru::fl::evaluate(setup.model, setup.data.test, pool);
  std::cout << "accuracy " << loru::io::CsvField(test.accuracy).quoted() << "\nloss "
            << loru::io::CsvField(test.loss).quoted() << '\n';
  return success;
}

void report_error(const std::string& message) {
  std::string line = message;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::fprintf(stderr, "federate: %s\n", line.c_str());
}

}  // namespace federate
