#include "run.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include "compare.hpp"
#include "processes.hpp"

namespace loru_python {

namespace {

/// A column of rounds.csv, of counts or of numbers that are NaN where a round lacks them.
struct Column {
  federate::RoundColumn source;
  std::vector<std::int64_t> counts;
  std::vector<double> numbers;

  void add(const loru::fl::Round& round) {
    const auto value = source.value(round);
    if (const auto* count = std::get_if<std::uint64_t>(&value))
      counts.push_back(static_cast<std::int64_t>(*count));
    else
      numbers.push_back(std::get<1>(value).value_or(std::numeric_limits<double>::quiet_NaN()));
  }

  py::object last() const {
    return counts.empty() ? py::object(py::float_(numbers.back())) : py::object(py::int_(counts.back()));
  }

  py::object array() const {
    if (!counts.empty())
      return py::array_t<std::int64_t>(static_cast<py::ssize_t>(counts.size()), counts.data());
    return py::array_t<double>(static_cast<py::ssize_t>(numbers.size()), numbers.data());
  }
};

/// Keeps what a run tells, and lets Python look in after each round: for Ctrl-C, and for on_round.
class Recorder final : public federate::Listener {
 public:
  explicit Recorder(py::object on_round) : on_round_{std::move(on_round)} {}

  bool round(const federate::Setup& setup, const loru::fl::Round& round) override {
    if (columns_.empty())
      for (auto& source : federate::round_columns(setup)) columns_.push_back({std::move(source), {}, {}});
    for (Column& column : columns_) column.add(round);
    const py::gil_scoped_acquire gil;
    try {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (!on_round_.is_none()) {
        py::dict row;
        for (const Column& column : columns_) row[py::str(column.source.name)] = column.last();
        on_round_(row);
      }
    } catch (py::error_already_set& error) {
      exception_ = error.value();
      return false;
    }
    return true;
  }

  void finished(const federate::Setup& setup, const federate::Model& model,
                const federate::Ending& ending) override {
    ending_ = ending;
    model_ = std::make_shared<Model>(setup, model);
  }

  /// With the interpreter's lock.
  RunResult result() const {
    py::dict rows;
    for (const Column& column : columns_) rows[py::str(column.source.name)] = column.array();
    return {ending_, rows, exception_, model_,
            model_ ? federate::to_toml(model_->configuration()) : std::string()};
  }

 private:
  py::object on_round_, exception_ = py::none();
  std::vector<Column> columns_;
  federate::Ending ending_;
  std::shared_ptr<Model> model_;
};

federate::RunOptions options_of(const RunRequest& request, const std::shared_ptr<Recorder>& recorder) {
  federate::RunOptions options{.out = request.out, .threads = threads_or_all(request.threads), .quiet = true};
  options.listener = recorder;
  if (!request.out.empty()) federate::require_one_process(request.out);
  return options;
}

}  // namespace

RunResult run(const RunRequest& request) {
  const auto recorder = std::make_shared<Recorder>(request.on_round);
  {
    const py::gil_scoped_release release;
    const federate::RunOptions options = options_of(request, recorder);
    if (request.file) {
      federate::run(federate::read_configuration(*request.file, request.overrides), options);
    } else {
      const auto configuration = federate::read_configuration_text(*request.text, request.overrides);
      federate::require_data(configuration, federate::config_text_origin);
      federate::run(configuration, options);
    }
  }
  return recorder->result();
}

RunResult compare(const std::vector<std::string>& files, const std::vector<Index>& seeds,
                  const std::vector<double>& budgets, const RunRequest& request) {
  const auto recorder = std::make_shared<Recorder>(request.on_round);
  {
    const py::gil_scoped_release release;
    federate::Comparison comparison{.files = files, .seeds = seeds};
    if (!budgets.empty()) comparison.budgets = budgets;
    federate::compare(comparison, request.overrides, options_of(request, recorder));
  }
  return recorder->result();
}

}  // namespace loru_python
