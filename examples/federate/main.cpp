// federate: runs a federation that a TOML file describes.

#include <filesystem>
#include <functional>
#include <iostream>
#include <limits>
#include <new>
#include <thread>

#include <CLI/CLI.hpp>

#include <loru/core/error.hpp>
#include <loru/version.hpp>

#include "compare.hpp"
#include "export.hpp"
#include "generate.hpp"
#include "listing.hpp"
#include "processes.hpp"
#include "reference.hpp"
#include "report/report.hpp"
#include "spectrum.hpp"
#include "sweep.hpp"

namespace {

const CLI::Range seed_range(loru::Index{0}, std::numeric_limits<loru::Index>::max());
const CLI::Range thread_range(1, 4096);
const CLI::Validator some_folder(
    [](std::string& name) { return name.empty() ? std::string("expected a folder, got ''") : std::string(); },
    "");

/// Something that the program does instead of a run, and whether the command line asks for it.
struct Mode {
  std::function<bool()> asked;
  std::function<federate::ExitCode()> act;
};

/// What the command line says. Each mode adds its options and itself.
struct CommandLine {
  std::string config, folder;
  bool keys = false, schema = false;
  std::string executor = "threads";
  std::vector<loru::Index> seeds;
  federate::Overrides overrides;
  federate::Prediction prediction;
  federate::Generation generation;
  federate::Export exported;
  federate::Comparison comparison;
  federate::Sweep sweep;
  federate::report::Options report;
  federate::Listing listing;
  federate::SpectrumOptions spectrum;
  federate::RunOptions run{.threads = std::max<loru::Index>(1, std::thread::hardware_concurrency())};
  std::vector<Mode> modes;
};

/// A subcommand that is a mode.
CLI::App* add_subcommand(CLI::App& app, CommandLine& line, const char* name, const char* text,
                         std::function<federate::ExitCode()> act) {
  CLI::App* command = app.add_subcommand(name, text);
  line.modes.push_back({[command] { return command->parsed(); }, std::move(act)});
  return command;
}

/// runs/NAME for a configuration NAME.toml.
std::string default_folder(const std::string& config) {
  return (std::filesystem::path("runs") / std::filesystem::path(config).stem()).string();
}

void add_data_dir(CLI::App& app, CommandLine& line, const char* text) {
  app.add_option("--data-dir", line.overrides.data_dir, text)->type_name("DIR");
}

void add_threads(CLI::App& app, CommandLine& line, const char* text) {
  app.add_option("--threads", line.run.threads, text)->check(thread_range)->type_name("N");
}

void add_device(CLI::App& app, CommandLine& line, const char* text) {
  app.add_option("--device", line.overrides.device, text)
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->type_name("DEVICE");
}

/// The options of a run, and of its modes.
void add_run(CLI::App& app, CommandLine& line) {
  app.add_option("CONFIG", line.config, "The federation to run");
  app.add_option("--set", line.overrides.set, "Sets a key, as in --set client.epochs=1; may be repeated")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  app.add_option("--out", line.run.out, "Folder for the run's files; default: runs/<name of CONFIG>")
      ->check(some_folder)
      ->type_name("DIR");
  add_threads(app, line, "Clients that train at the same time on the cpu; default: all cores");
  app.add_option("--executor", line.executor,
                 "Who trains clients: threads of this process (default), or mpi: the processes of mpirun")
      ->check(CLI::IsMember({"threads", "mpi"}))
      ->type_name("EXECUTOR");
  add_device(app, line, "Where clients train and models are tested: cpu or cuda");
  add_data_dir(app, line, "Folder that holds the data set's files");
  app.add_option("--seed", line.overrides.seed, "Seed of all random draws")
      ->check(seed_range)
      ->type_name("N");
  app.add_flag("--describe", line.run.describe, "Shows data, model, clients and bytes, and trains nothing");
  app.add_flag("--explain", line.run.explain,
               "Shows how each factored layer is computed and the predicted costs, and trains nothing");
  app.add_flag("--quiet", line.run.quiet, "Prints nothing but errors");
  app.add_option("--seeds", line.seeds, "With --compare and --sweep: each federation runs with each seed")
      ->delimiter(',')
      ->check(seed_range)
      ->type_name("N,N,...")
      ->excludes(app.get_option("--seed"));
}

/// --checkpoint-every and --resume; to be called after add_run.
void add_checkpoints(CLI::App& app, CommandLine& line) {
  app.add_option(
         "--checkpoint-every", line.run.checkpoint_every,
         "Rounds between two checkpoints, from which --resume goes on; also written when a signal ends "
         "the run; default: 0, never, and with --resume as the run had it")
      ->check(CLI::Range(loru::Index{0}, std::numeric_limits<loru::Index>::max()))
      ->type_name("K");
  const auto resume = [&line](const std::string& folder) {
    line.run.out = folder;
    line.run.resumes = true;
  };
  CLI::Option* option = app.add_option_function<std::string>(
                               "--resume", resume, "Goes on with the run in DIR from its newest checkpoint")
                            ->check(some_folder)
                            ->type_name("DIR");
  for (const char* other : {"CONFIG", "--out", "--describe", "--explain"})
    option->excludes(app.get_option(other));
}

/// --keys and --schema.
void add_reference(CLI::App& app, CommandLine& line) {
  app.add_flag("--keys", line.keys, "Lists all keys of a configuration, with ranges and defaults");
  app.add_flag("--schema", line.schema, "Prints the JSON Schema of a configuration");
  line.modes.push_back({[&line] { return line.keys || line.schema; },
                        [&line] {
                          if (line.keys) federate::write_keys(std::cout);
                          if (line.schema) federate::write_schema(std::cout);
                          return federate::success;
                        }});
}

/// --compare; to be called after add_run.
void add_comparison(CLI::App& app, CommandLine& line) {
  CLI::Option* compare =
      app.add_option("--compare", line.comparison.files,
                     "Runs several federations over the same clients and compares them in one table")
          ->type_name("A.toml B.toml ...");
  for (const char* other : {"CONFIG", "--describe", "--explain", "--resume"})
    compare->excludes(app.get_option(other));
  app.add_option("--budgets", line.comparison.budgets,
                 "With --compare: MB of uplink at which accuracy is read; default: 5,20,60")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->type_name("MB,MB,...")
      ->needs(compare);
  line.modes.push_back({[&line] { return !line.comparison.files.empty(); },
                        [&line] {
                          if (line.run.out.empty()) line.run.out = "runs/compare";
                          federate::require_one_process(line.run.out);
                          line.comparison.seeds = line.seeds;
                          return federate::compare(line.comparison, line.overrides, line.run);
                        }});
}

/// --sweep; to be called after add_comparison.
void add_sweep(CLI::App& app, CommandLine& line) {
  CLI::Option* sweep =
      app.add_option("--sweep", line.sweep.keys,
                     "Runs CONFIG with each value of a key; several give all combinations of their values")
          ->type_name("KEY.PATH=V1,V2,...")
          ->allow_extra_args(false);
  for (const char* other : {"--compare", "--describe", "--explain", "--resume"})
    sweep->excludes(app.get_option(other));
  app.add_option("--select", line.sweep.select,
                 "With --sweep: best writes the configuration that is best on the validation set")
      ->check(CLI::IsMember({"best"}))
      ->type_name("best")
      ->needs(sweep);
  line.modes.push_back({[&line] { return !line.sweep.keys.empty(); },
                        [&line] {
                          if (line.run.out.empty()) line.run.out = default_folder(line.config) + "-sweep";
                          federate::require_one_process(line.run.out);
                          line.sweep.seeds = line.seeds;
                          return federate::sweep(line.config, line.sweep, line.overrides, line.run);
                        }});
}

void add_evaluation(CLI::App& app, CommandLine& line) {
  CLI::App* evaluate =
      add_subcommand(app, line, "eval", "Metrics and loss of the model in a run's folder",
                     [&line] { return federate::evaluate(line.folder, line.overrides, line.run.threads); });
  evaluate->add_option("OUT", line.folder, "The run's folder")->required();
  add_data_dir(*evaluate, line, "Folder that holds the data set's files");
  add_device(*evaluate, line, "Where it runs; default: as the run did");
  add_threads(*evaluate, line, "Threads; default: all cores");
}

void add_prediction(CLI::App& app, CommandLine& line) {
  CLI::App* predict = add_subcommand(app, line, "predict", "Outputs of the model in a run's folder", [&line] {
    return federate::predict(line.prediction, line.overrides, line.run.threads);
  });
  predict->add_option("OUT", line.prediction.folder, "The run's folder")->required();
  predict->add_option("--data", line.prediction.data, "safetensors file with the samples x")
      ->required()
      ->type_name("FILE");
  predict->add_option("--out", line.prediction.out, "Where y goes: a safetensors file, or a table NAME.csv")
      ->required()
      ->type_name("FILE");
  add_data_dir(*predict, line, "Folder that holds the run's data set's files");
  add_threads(*predict, line, "Threads; default: all cores");
}

void add_generation(CLI::App& app, CommandLine& line) {
  CLI::App* generate =
      add_subcommand(app, line, "generate", "What the decoder in a run's folder says",
                     [&line] { return federate::generate(line.generation, line.overrides); });
  loru::train::GenerateOptions& o = line.generation.options;
  generate->add_option("OUT", line.generation.folder, "The run's folder")->required();
  generate->add_option("--prompt", line.generation.prompt, "The text to go on with")
      ->required()
      ->type_name("TEXT");
  generate->add_option("--tokens", o.tokens, "Tokens to write at most; default: 100")->type_name("N");
  generate
      ->add_option("--temperature", o.temperature,
                   "Divides the logits; 0: always the likeliest token; default: 0.8")
      ->type_name("X");
  generate->add_option("--top", o.top, "The likeliest tokens to draw from; default: all")->type_name("K");
  generate->add_option("--seed", o.seed, "Seed of the draws; default: 1")->check(seed_range)->type_name("N");
  add_data_dir(*generate, line, "Folder that holds the data set's files");
}

void add_export(CLI::App& app, CommandLine& line) {
  CLI::App* command =
      add_subcommand(app, line, "export", "The model in a run's folder for other software",
                     [&line] { return federate::export_model(line.exported, line.overrides); });
  command->add_option("OUT", line.exported.folder, "The run's folder")->required();
  const auto given = [](std::optional<std::string>& name) {
    return [&name](const std::string& text) { name = text; };  // CLI11 reads an empty name as none
  };
  command
      ->add_option_function<std::string>("--peft", given(line.exported.peft),
                                         "Folder for an adapter in PEFT's format")
      ->type_name("DIR");
  command
      ->add_option_function<std::string>("--merged", given(line.exported.merged),
                                         "safetensors file for the weights with every update merged in")
      ->type_name("FILE");
  command->require_option(2, 4);
  add_data_dir(*command, line, "Folder that holds the run's data set's files");
}

void add_report(CLI::App& app, CommandLine& line) {
  CLI::App* report = add_subcommand(app, line, "report", "One HTML page of what runs wrote", [&line] {
    const std::filesystem::path page = federate::report::write(line.report);
    std::cout << "written to " << page.string() << '\n';
    return federate::success;
  });
  report->add_option("RUN", line.report.folders, "Folders of runs, or of a comparison, a sweep or a spectrum")
      ->required();
  report->add_option("--out", line.report.out, "The page; default: report.html in the first RUN's folder")
      ->type_name("FILE.html");
}

void add_listing(CLI::App& app, CommandLine& line) {
  federate::Listing& o = line.listing;
  CLI::App* command = add_subcommand(app, line, "ls", "The runs in folders, with their figures",
                                     [&o] { return federate::list_runs(o); });
  command->add_option("DIR", o.folders, "Folders with runs in them or below; default: runs");
  CLI::Option* json = command->add_flag("--json", o.json, "As a JSON array, an object a run");
  command->add_flag("--csv", o.csv, "As a CSV table")->excludes(json);
}

CLI::App* spectrum_command(CLI::App& app, CommandLine& line) {
  return add_subcommand(
      app, line, "spectrum",
      "Norm, stable rank and density of the loss's Hessian on clients' data and the server's", [&line] {
        const federate::SpectrumOptions& o = line.spectrum;
        if (line.run.out.empty()) line.run.out = federate::default_spectrum_folder(o.source);
        federate::require_one_process(line.run.out);
        return federate::measure_spectrum(o, line.overrides, line.run);
      });
}

/// A list of values after one option.
template <class V>
void add_list(CLI::App& app, const char* name, std::vector<V>& values, const char* type, const char* text) {
  app.add_option(name, values, text)->delimiter(',')->type_name(type);
}

void add_spectrum(CLI::App& app, CommandLine& line) {
  federate::SpectrumOptions& o = line.spectrum;
  CLI::App& spectrum = *spectrum_command(app, line);
  spectrum.add_option("SOURCE", o.source, "A configuration, before its first round, or a run's folder")
      ->required();
  add_list(spectrum, "--at", o.rounds, "ROUND,...",
           "Rounds of a run that federation.keep_rounds has kept; default: the last");
  add_list(spectrum, "--samples", o.samples, "N,...",
           "Samples a client; several give several measurements; default: all that it has");
  spectrum
      .add_option(
          "--clients", o.clients,
          "The first K clients; the server is the union of their samples; 0: the server alone, with all "
          "training samples; default: 20, or all clients if they are fewer")
      ->type_name("K");
  add_list(spectrum, "--operator", o.operators, "NAME,...",
           "hessian (default), gauss_newton, residual or factors");
  add_list(spectrum, "--layers", o.layers, "LAYER,...", "Layers whose diagonal blocks are measured too");
  spectrum
      .add_option("--tolerance", o.tolerance, "Error of the stable rank, as a share of it; default: 0.005")
      ->type_name("X");
  spectrum.add_flag("--span", o.span, "Also how the gradient spreads over the eigenvectors: span.csv");
  spectrum.add_flag("--batch-statistics", o.batch_statistics,
                    "Normalise by each batch, as in training: refused for models with BatchNorm");
  spectrum.add_option("--set", line.overrides.set, "Sets a key of the configuration; may be repeated")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  spectrum.add_option("--seed", line.overrides.seed, "Seed of all random draws")
      ->check(seed_range)
      ->type_name("N");
  spectrum
      .add_option("--out", line.run.out,
                  "Folder for the tables; default: runs/<name>-spectrum, or RUN/spectrum")
      ->check(some_folder)
      ->type_name("DIR");
  add_data_dir(spectrum, line, "Folder that holds the data set's files");
  add_threads(spectrum, line, "Threads; default: all cores");
  spectrum.add_flag("--quiet", line.run.quiet, "Prints nothing but errors");
}

/// One federation, in this process or with others.
federate::ExitCode run(const CLI::App& app, CommandLine& line) {
  if (line.run.out.empty()) line.run.out = default_folder(line.config);
  if (line.executor == "mpi")
    return federate::run_with_mpi(
        line.config, line.overrides, line.run,
        app.count("--threads") > 0 ? std::optional(line.run.threads) : std::nullopt);
  federate::require_one_process(line.run.out);
  return federate::run(line.config, line.overrides, line.run);
}

/// Everything that the program does, in the order in which it is looked for.
void add_modes(CLI::App& app, CommandLine& line) {
  app.footer(
      "federate eval OUT evaluates what was saved, federate predict OUT applies it, federate generate OUT "
      "lets a decoder speak, federate export OUT writes it for PEFT, federate report OUT draws it, federate "
      "ls "
      "lists the runs there are. Bundled federations: examples/federations/.");
  app.set_version_flag("--version", std::string("federate ") + loru::version);
  add_run(app, line);
  add_checkpoints(app, line);
  add_reference(app, line);
  add_evaluation(app, line);
  add_prediction(app, line);
  add_generation(app, line);
  add_export(app, line);
  add_report(app, line);
  add_listing(app, line);
  add_spectrum(app, line);
  add_comparison(app, line);
  add_sweep(app, line);
  line.modes.push_back({[] { return true; }, [&app, &line] { return run(app, line); }});
}

/// What CLI11 cannot say of options: a run and a sweep need a configuration, seeds several runs, processes
/// one.
void check_line(const CLI::App& app, const CommandLine& line) {
  const bool compares = !line.comparison.files.empty(), sweeps = !line.sweep.keys.empty();
  if (line.executor == "mpi" && (compares || sweeps || line.run.describe || line.run.explain))
    throw CLI::ExcludesError("--executor mpi", "--compare, --sweep, --describe and --explain");
  if (!line.seeds.empty() && !compares && !sweeps)
    throw CLI::RequiresError("--seeds", "--compare or --sweep");
  if (app.get_subcommands().empty() && !line.keys && !line.schema && !compares && line.config.empty() &&
      !line.run.resumes)
    throw CLI::RequiredError("CONFIG");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs a federation: clients that train one model together, simulated on this machine.",
               "federate");
  CommandLine line;
  add_modes(app, line);
  const auto report = [&](const std::string& message) {
    // Processes of one run are all refused alike.
    if (line.executor != "mpi" || federate::first_launched()) federate::report_error(message);
  };
  try {
    app.parse(argc, argv);
    check_line(app, line);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    report(std::string(error.what()) + " (federate --help lists what there is)");
    return federate::bad_input;
  }
  try {
    for (const Mode& mode : line.modes)
      if (mode.asked()) return mode.act();
    return federate::success;
  } catch (const std::bad_alloc&) {
    report("out of memory");
    return federate::failed_run;
  } catch (const federate::SaidByFirst&) {
    return federate::bad_input;
  } catch (const loru::Error& error) {
    report(error.what());
    return federate::bad_input;
  } catch (const std::exception& error) {
    report(error.what());
    return federate::failed_run;
  }
}
