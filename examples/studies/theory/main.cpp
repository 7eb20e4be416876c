// theory: the parts of the study of docs/theory.md that federate does not measure itself.

#include <cstdio>

#include <CLI/CLI.hpp>

#include "parts.hpp"

int main(int argc, char** argv) {
  using loru::Index;
  CLI::App app("Parts of the study of the paper's theory; each writes one table for one seed.", "theory");
  theory::Study study;
  std::vector<Index> counts{50, 500, 5000, 20000}, steps{0, 100, 500, 2500}, epochs{0, 1, 5, 15},
      rounds{0, 5, 100}, ranks{1, 2, 4, 8, 16, 32, 64};
  std::string partition = "iid";
  Index clients = 20, last = 30;
  app.add_option("--data", study.data, "data set by name");
  app.add_option("--model", study.model, "model by name");
  app.add_option("--seed", study.seed, "seed of all random draws");
  app.add_option("--threads", study.threads, "threads");
  app.add_option("--learning-rate", study.learning_rate, "of SGD with momentum 0.9");
  app.add_option("--out", study.out, "the table")->required();
  app.require_subcommand(1);
  const auto list = [](CLI::App* part, const char* name, std::vector<Index>& values) {
    return part->add_option(name, values)->delimiter(',')->check(CLI::NonNegativeNumber);
  };
  CLI::App* sizes = app.add_subcommand("sizes", "models on data sets of several sizes");
  list(sizes, "--samples", counts);
  list(sizes, "--steps", steps);
  list(sizes, "--epochs", epochs);
  CLI::App* alignment = app.add_subcommand("alignment", "how alike gradients of low rank are");
  alignment->add_option("--partition", partition);
  alignment->add_option("--clients", clients);
  list(alignment, "--rounds", rounds);
  list(alignment, "--ranks", ranks)->check(CLI::PositiveNumber);
  CLI::App* projections = app.add_subcommand("projections", "training with projected updates");
  projections->add_option("--partition", partition);
  projections->add_option("--rounds", last);
  list(projections, "--ranks", ranks)->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
    if (*sizes) theory::sizes(study, counts, steps, epochs);
    if (*alignment) theory::alignment(study, partition, clients, rounds, ranks);
    if (*projections) theory::projections(study, partition, last, ranks);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::fprintf(stderr, "theory: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "theory: %s\n", error.what());
    return 2;
  }
  return 0;
}
