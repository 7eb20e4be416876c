#include "run.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include <loru/data/arrays.hpp>
#include <loru/train/predict.hpp>
#include "cuda.hpp"
#include "describe.hpp"
#include "resume.hpp"

#include "training.hpp"

namespace federate {

volatile std::sig_atomic_t stop_wanted = 0;

namespace {

extern "C" void want_stop(int) { stop_wanted = 1; }

bool on_cuda(const Configuration& c) { return c.device == "cuda"; }

}  // namespace

void catch_interrupts() {
  struct ::sigaction action{};
  action.sa_handler = want_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

ExitCode run(const std::string& file, const Overrides& overrides, RunOptions options) {
  const Configuration configuration =
      options.resumes ? resumed(overrides, options) : read_configuration(file, overrides);
  return run(configuration, options);
}

ExitCode run(const Configuration& configuration, const RunOptions& options) {
  if (options.explain) {
    explain(std::cout, set_up_shapes(configuration));
    return success;
  }
  if (on_cuda(configuration) && !options.describe) require_cuda(configuration);
  Setup setup = set_up(configuration);
  loru::data::Partition parts = make_partition(setup);
  if (options.describe) {
    describe(std::cout, setup, parts);
    return success;
  }
  return train(setup, std::move(parts), options);
}

ExitCode train(Setup& setup, loru::data::Partition parts, const RunOptions& options) {
  if (!options.listener) catch_interrupts();
  return on_cuda(setup.configuration) ? train_on_cuda(setup, std::move(parts), options)
                                      : train_on<loru::Cpu>(setup, std::move(parts), options);
}

void check(Setup& setup, loru::data::Partition parts) {
  const RunOptions options;
  Training<loru::Cpu>(setup, std::move(parts), options);
}

ExitCode evaluate(const std::string& folder, Overrides overrides, Index threads) {
  const std::filesystem::path path = folder;
  if (overrides.device == "cpu")
    overrides.set.push_back("device.precision=float");  // the run may have had tf32
  Configuration configuration = read_configuration((path / "config.toml").string(), overrides);
  keep_characters(configuration, path);
  if (on_cuda(configuration)) require_cuda(configuration);
  Setup setup = set_up(configuration);
  loru::io::load(setup.model, path / "model.safetensors");
  const loru::train::Evaluation test =
      on_cuda(configuration) ? evaluate_on_cuda(setup) : evaluate_on<loru::Cpu>(setup, threads);
  const auto names = metrics(configuration);
  for (std::size_t i = 0; i < names.size(); ++i)
    std::cout << names[i].name << ' ' << loru::to_text(test.metrics[i]) << '\n';
  std::cout << "loss " << loru::to_text(test.loss) << '\n';
  return success;
}

namespace {

/// A text without its control characters, which could steer a terminal: \\xNN for their bytes, of C0, DEL and
/// C1 in UTF-8; a blank for the end of a line.
std::string on_one_line(const std::string& text) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = [&](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
  };
  std::string line;
  std::size_t escaped = 0;  // bytes still to come of what is escaped
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (byte(i) == 0xC2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xA0)
      escaped = 2;
    else if (byte(i) < 0x20 || byte(i) == 0x7F)
      escaped = 1;
    if (text[i] == '\n')
      line += ' ';
    else if (escaped > 0)
      line += {'\\', 'x', digits[byte(i) / 16], digits[byte(i) % 16]};
    else
      line += text[i];
    escaped -= std::min<std::size_t>(escaped, 1);
  }
  return line;
}

/// The samples of a file, as the run's model is to see them.
loru::data::Dataset samples_for(const loru::data::Dataset& train, const std::string& file) {
  loru::data::Dataset samples = loru::data::read_samples(file);
  loru::require<loru::DataError>(samples.sample == train.sample, file,
                                 ": tensor x: expected samples of shape ", train.sample, " as in ",
                                 train.name, ", got ", samples.sample);
  loru::require<loru::DataError>(samples.features.index() == train.features.index(), file,
                                 ": tensor x: expected ", train.features.index() == 0 ? "U8" : "F32",
                                 " as in ", train.name);
  samples.normalisation = train.normalisation;
  return samples;
}

void write_table(const std::filesystem::path& path, const loru::Tensor<float>& y) {
  std::vector<std::string> columns;
  for (Index j = 0; j < y.dim(1); ++j) columns.push_back(loru::concat('y', j));
  loru::io::CsvWriter table(path, columns);
  for (Index i = 0; i < y.dim(0); ++i) {
    const float* row = y.data() + i * y.dim(1);
    table.row({row, row + y.dim(1)});
  }
}

}  // namespace

ExitCode predict(const Prediction& p, const Overrides& overrides, Index threads) {
  const std::filesystem::path folder = p.folder, out = p.out;
  const Configuration configuration = read_configuration((folder / "config.toml").string(), overrides);
  Setup setup = set_up(configuration);
  loru::io::load(setup.model, folder / "model.safetensors");
  const loru::data::Dataset samples = samples_for(setup.data.train, p.data);
  loru::WorkerPool pool(threads);
  const auto y =
      loru::train::predict(setup.model, samples, pool, loru::train::make_task<float>(configuration.task));
  if (out.extension() == ".csv") {
    write_table(out, y);
  } else {
    loru::io::Archive archive(p.out);
    archive.share("y", y);
    loru::io::save(out, archive);
  }
  return success;
}

void report_error(const std::string& message) {
  const std::string line = on_one_line(message);
  std::fprintf(stderr, "federate: %s\n", line.c_str());
}

}  // namespace federate
