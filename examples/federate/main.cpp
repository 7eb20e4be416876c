// federate: runs a federation that a TOML file describes.

#include <filesystem>
#include <limits>
#include <new>
#include <thread>

#include <CLI/CLI.hpp>

#include <loru/core/error.hpp>
#include <loru/version.hpp>

#include "run.hpp"

namespace {

struct CommandLine {
  std::string config, folder;
  federate::Overrides overrides;
  federate::RunOptions run{.threads = std::max<loru::Index>(1, std::thread::hardware_concurrency())};
};

CLI::App* add_options(CLI::App& app, CommandLine& line) {
  const CLI::Range threads(1, 4096);
  app.footer(
      "A second form, federate eval OUT, evaluates what was saved. Bundled federations: "
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
      ->check(CLI::Range(loru::Index{0}, std::numeric_limits<loru::Index>::max()))
      ->type_name("N");
  app.add_flag("--describe", line.run.describe, "Shows data, model, clients and bytes, and trains nothing");
  app.add_flag("--explain", line.run.explain,
               "Shows how each factored layer is computed and the predicted costs, and trains nothing");
  app.add_flag("--quiet", line.run.quiet, "Prints nothing but errors");

  CLI::App* evaluate = app.add_subcommand("eval", "Accuracy and loss of the model in a run's folder");
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
  try {
    app.parse(argc, argv);
    if (!evaluate->parsed() && line.config.empty()) throw CLI::RequiredError("CONFIG");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    federate::report_error(std::string(error.what()) + " (federate --help lists what there is)");
    return federate::bad_input;
  }
  try {
    if (evaluate->parsed()) return federate::evaluate(line.folder, line.overrides, line.run.threads);
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
