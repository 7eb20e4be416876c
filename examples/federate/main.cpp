// federate: runs a federation that a TOML file describes.

#include <filesystem>
#include <iostream>
#include <limits>
#include <new>
#include <thread>

#include <CLI/CLI.hpp>

#include <loru/core/error.hpp>
#include <loru/version.hpp>

#include "compare.hpp"
#include "reference.hpp"

namespace {

using federate::Comparison;

const CLI::Range seed_range(loru::Index{0}, std::numeric_limits<loru::Index>::max());

struct CommandLine {
  std::string config, folder;
  bool keys = false, schema = false;
  federate::Overrides overrides;
  federate::Prediction prediction;
  Comparison comparison;
  federate::RunOptions run{.threads = std::max<loru::Index>(1, std::thread::hardware_concurrency())};
};

/// The options of --compare; to be called after those of a run.
void add_comparison(CLI::App& app, Comparison& comparison) {
  CLI::Option* compare =
      app.add_option("--compare", comparison.files,
                     "Runs several federations over the same clients and compares them in one table")
          ->type_name("A.toml B.toml ...");
  for (const char* other : {"CONFIG", "--describe", "--explain"}) compare->excludes(app.get_option(other));
  app.add_option("--seeds", comparison.seeds, "With --compare: each federation runs with each seed")
      ->delimiter(',')
      ->check(seed_range)
      ->type_name("N,N,...")
      ->needs(compare)
      ->excludes(app.get_option("--seed"));
  app.add_option("--budgets", comparison.budgets,
                 "With --compare: MB of uplink at which accuracy is read; default: 5,20,60")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->type_name("MB,MB,...")
      ->needs(compare);
}

CLI::App* add_prediction(CLI::App& app, CommandLine& line) {
  CLI::App* predict = app.add_subcommand("predict", "Outputs of the model in a run's folder");
  predict->add_option("OUT", line.prediction.folder, "The run's folder")->required();
  predict->add_option("--data", line.prediction.data, "safetensors file with the samples x")
      ->required()
      ->type_name("FILE");
  predict->add_option("--out", line.prediction.out, "Where y goes: a safetensors file, or a table NAME.csv")
      ->required()
      ->type_name("FILE");
  predict->add_option("--data-dir", line.overrides.data_dir, "Folder that holds the run's data set's files")
      ->type_name("DIR");
  predict->add_option("--threads", line.run.threads, "Threads; default: all cores")
      ->check(CLI::Range(1, 4096))
      ->type_name("N");
  return predict;
}

CLI::App* add_options(CLI::App& app, CommandLine& line) {
  const CLI::Range threads(1, 4096);
  app.footer(
      "federate eval OUT evaluates what was saved, federate predict OUT applies it. Bundled federations: "
      "examples/federations/.");
  app.set_version_flag("--version", std::string("federate ") + loru::version);
  app.add_option("CONFIG", line.config, "The federation to run");
  app.add_option("--set", line.overrides.set, "Sets a key, as in --set client.epochs=1; may be repeated")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  app.add_option("--out", line.run.out, "Folder for the run's files; default: runs/<name of CONFIG>")
      ->type_name("DIR");
  app.add_option("--threads", line.run.threads,
                 "Clients that train at the same time on the cpu; default: all cores")
      ->check(threads)
      ->type_name("N");
  const CLI::IsMember devices({"cpu", "cuda"});
  app.add_option("--device", line.overrides.device, "Where clients train and models are tested: cpu or cuda")
      ->check(devices)
      ->type_name("DEVICE");
  app.add_option("--data-dir", line.overrides.data_dir, "Folder that holds the data set's files")
      ->type_name("DIR");
  app.add_option("--seed", line.overrides.seed, "Seed of all random draws")
      ->check(seed_range)
      ->type_name("N");
  app.add_flag("--describe", line.run.describe, "Shows data, model, clients and bytes, and trains nothing");
  app.add_flag("--explain", line.run.explain,
               "Shows how each factored layer is computed and the predicted costs, and trains nothing");
  app.add_flag("--quiet", line.run.quiet, "Prints nothing but errors");
  app.add_flag("--keys", line.keys, "Lists all keys of a configuration, with ranges and defaults");
  app.add_flag("--schema", line.schema, "Prints the JSON Schema of a configuration");
  add_comparison(app, line.comparison);

  CLI::App* evaluate = app.add_subcommand("eval", "Metrics and loss of the model in a run's folder");
  evaluate->add_option("OUT", line.folder, "The run's folder")->required();
  evaluate->add_option("--data-dir", line.overrides.data_dir, "Folder that holds the data set's files")
      ->type_name("DIR");
  evaluate->add_option("--device", line.overrides.device, "Where it runs; default: as the run did")
      ->check(devices)
      ->type_name("DEVICE");
  evaluate->add_option("--threads", line.run.threads, "Threads; default: all cores")
      ->check(threads)
      ->type_name("N");
  return evaluate;
}

/// runs/NAME for a configuration NAME.toml.
std::string default_folder(const std::string& config) {
  return (std::filesystem::path("runs") / std::filesystem::path(config).stem()).string();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs a federation: clients that train one model together, simulated on this machine.",
               "federate");
  CommandLine line;
  CLI::App* evaluate = add_options(app, line);
  CLI::App* predict = add_prediction(app, line);
  try {
    app.parse(argc, argv);
    if (!evaluate->parsed() && !predict->parsed() && !line.keys && !line.schema && line.config.empty() &&
        line.comparison.files.empty())
      throw CLI::RequiredError("CONFIG");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    federate::report_error(std::string(error.what()) + " (federate --help lists what there is)");
    return federate::bad_input;
  }
  try {
    if (line.keys) federate::write_keys(std::cout);
    if (line.schema) federate::write_schema(std::cout);
    if (line.keys || line.schema) return federate::success;
    if (evaluate->parsed()) return federate::evaluate(line.folder, line.overrides, line.run.threads);
    if (predict->parsed()) return federate::predict(line.prediction, line.overrides, line.run.threads);
    if (!line.comparison.files.empty()) {
      if (line.run.out.empty()) line.run.out = "runs/compare";
      return federate::compare(line.comparison, line.overrides, line.run);
    }
    if (line.run.out.empty()) line.run.out = default_folder(line.config);
    return federate::run(line.config, line.overrides, line.run);
  } catch (const std::bad_alloc&) {
    federate::report_error("out of memory");
    return federate::failed_run;
  } catch (const loru::Error& error) {
    federate::report_error(error.what());
    return federate::bad_input;
  } catch (const std::exception& error) {
    federate::report_error(error.what());
    return federate::failed_run;
  }
}
