#include "spectrum.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <set>

#include <loru/fl/simulation/executor.hpp>
#include <loru/spectrum/curvature.hpp>
#include <loru/version.hpp>

#include "bar.hpp"
#include "federation.hpp"
#include "output.hpp"
#include "report/report.hpp"
#include "spectrum_table.hpp"

namespace federate {

namespace fs = std::filesystem;
namespace spectrum = loru::spectrum;
using loru::concat, loru::ConfigError, loru::require;

namespace {

using Dual = loru::Dual<float>;
using Operator = spectrum::CurvatureOperator<float>;
using Samples = std::vector<Index>;

/// Ctrl-C, seen between two points.
struct Interrupted {};

/// A word for --operator.
struct CurvatureName {
  std::string name;
  spectrum::Curvature kind;
  spectrum::Weights weights;
};

const std::vector<CurvatureName>& curvatures() {
  using enum spectrum::Curvature;
  using enum spectrum::Weights;
  static const std::vector<CurvatureName> all{{"hessian", hessian, effective},
                                              {"gauss_newton", gauss_newton, effective},
                                              {"residual", residual, effective},
                                              {"factors", hessian, factors}};
  return all;
}

const CurvatureName& curvature(const std::string& name) {
  const auto found = std::find_if(curvatures().begin(), curvatures().end(),
                                  [&](const CurvatureName& c) { return c.name == name; });
  require<ConfigError>(found != curvatures().end(), "spectrum: operator: unknown name '", name,
                       "', nearest is '", loru::nearest(name, curvature_names()), "'");
  return *found;
}

/// Data sets that are measured at each round: of the server, and of the clients that it is the union of.
struct Sets {
  Samples server;
  std::vector<Samples> clients;
};

/// The file of a run's state after a round.
fs::path state_file(const fs::path& folder, Index round, Index last) {
  const fs::path kept = folder / "rounds" / concat(round, ".safetensors");
  if (round == last && !fs::exists(kept)) return folder / "model.safetensors";
  require<ConfigError>(fs::exists(kept), folder.native(), ": round ", round,
                       " was not kept: expected one of federation.keep_rounds, or ", last, ", the last");
  return kept;
}

class Measurement {
 public:
  Measurement(const SpectrumOptions& o, const Overrides& overrides, const RunOptions& run)
      : o_{o},
        run_{run},
        from_run_{fs::is_directory(o.source)},
        setup_{set_up(configuration(overrides))},
        parts_{make_partition(setup_)},
        task_{loru::train::make_task<Dual>(setup_.configuration.task)},
        pool_{run.threads} {
    choose_rounds();
    choose_clients();
    for (const std::string& name : o_.operators) curvature(name);
    check_models();
  }

  ExitCode operator()() {
    const Configuration& c = setup_.configuration;
    SpectrumTable table(run_.out, settings(), o_.span, loru::train::make_task<float>(c.task).outputs(data()));
    ExitCode code = success;
    try {
      for (const Index round : rounds_)
        for (const std::string& name : o_.operators)
          for (const std::string& layer : layers())
            for (const Sets& sets : sets_)
              measure(table, {.round = round, .name = name, .layer = layer}, sets);
    } catch (const Interrupted&) {
      code = interrupted;
    }
    bar_.end();
    if (code == interrupted) {
      report_error(
          concat("stopped after ", done_, " of ", total(), " points; the same command goes on with them"));
      return code;
    }
    loru::io::write_file(fs::path(run_.out) / "summary.md", table.summary());
    report::write({.folders = {run_.out}});
    if (!run_.quiet) std::cout << table.summary() << "written to " << run_.out << '\n';
    return code;
  }

 private:
  const loru::data::Dataset& data() const { return setup_.data.train; }

  Configuration configuration(const Overrides& overrides) const {
    const fs::path file = from_run_ ? fs::path(o_.source) / "config.toml" : fs::path(o_.source);
    Configuration c = read_configuration(file.string(), overrides);
    c.device = "cpu";  // its ops take dual numbers
    return c;
  }

  void choose_rounds() {
    const Index last = setup_.configuration.rounds;
    rounds_ = o_.rounds;
    if (rounds_.empty()) rounds_.push_back(from_run_ ? last : 0);
    for (const Index round : rounds_) {
      require<ConfigError>(from_run_ || round == 0, "spectrum: --at: expected 0 for a configuration, got ",
                           round, ": run it first, with federation.keep_rounds");
      require<ConfigError>(std::count(rounds_.begin(), rounds_.end(), round) == 1,
                           "spectrum: --at: expected different rounds, got ", round, " twice");
      if (from_run_) states_.push_back(state_file(o_.source, round, last));
    }
  }

  void choose_clients() {
    const Index all = std::ssize(parts_), count = o_.clients.value_or(std::min<Index>(20, all));
    require<ConfigError>(count >= 0 && count <= all, "spectrum: --clients: expected at most ", all,
                         ", the clients, got ", count);
    if (count == 0) {
      require<ConfigError>(o_.samples.empty(), "spectrum: --samples: expected clients, got --clients 0");
      Sets whole;
      for (Index i = 0; i < data().size(); ++i) whole.server.push_back(i);
      sets_.push_back(std::move(whole));
      return;
    }
    std::vector<std::optional<Index>> sizes(o_.samples.begin(), o_.samples.end());
    if (sizes.empty()) sizes.push_back(std::nullopt);
    for (const auto& size : sizes) sets_.push_back(sets_of(count, size));
  }

  /// The first `count` clients, each with the first `size` of its samples in a random order.
  Sets sets_of(Index count, std::optional<Index> size) const {
    Sets sets;
    for (Index k = 0; k < count; ++k) {
      Samples own = parts_[static_cast<std::size_t>(k)];
      require<ConfigError>(!size || (*size >= 1 && *size <= std::ssize(own)),
                           "spectrum: --samples: expected 1 to ", own.size(), ", the samples of client ", k,
                           ", got ", size.value_or(0));
      loru::rng::Stream stream(static_cast<std::uint64_t>(setup_.configuration.seed),
                               loru::rng::Purpose::spectrum, 0, static_cast<std::uint32_t>(k));
      stream.shuffle(std::span(own));
      if (size) own.resize(static_cast<std::size_t>(*size));
      sets.server.insert(sets.server.end(), own.begin(), own.end());
      sets.clients.push_back(std::move(own));
    }
    return sets;
  }

  /// Every model that will be measured has what the operators need.
  void check_models() {
    for (const Index round : rounds_) {
      Model model = state(round);
      for (const std::string& name : o_.operators)
        for (const std::string& layer : layers()) make_operator(model, name, layer, sets_[0].server, nullptr);
    }
  }

  /// The model after a round.
  Model state(Index round) const {
    if (!from_run_) return setup_.model;
    const auto at = std::find(rounds_.begin(), rounds_.end(), round) - rounds_.begin();
    const Configuration& c = setup_.configuration;
    Model model = round > 0 && round < c.warmup_rounds ? dense_model(c, data()) : setup_.model;
    loru::io::load(model, states_[static_cast<std::size_t>(at)]);
    return model;
  }

  /// The whole, and blocks of layers.
  std::vector<std::string> layers() const {
    std::vector<std::string> all{""};
    all.insert(all.end(), o_.layers.begin(), o_.layers.end());
    return all;
  }

  Operator make_operator(Model& model, const std::string& name, const std::string& layer,
                         const Samples& samples, loru::WorkerPool* pool) const {
    const Configuration& c = setup_.configuration;
    const CurvatureName& wanted = curvature(name);
    const bool factors = wanted.weights == spectrum::Weights::factors;
    auto dual =
        spectrum::dual_model(model, loru::nn::build<Dual>(c.model, model_options(c, data())), wanted.weights);
    check_layers(dual, factors, layer);
    spectrum::CurvatureOptions options{.kind = wanted.kind, .batch_statistics = o_.batch_statistics};
    const auto in_layer = layer.empty() ? nullptr : spectrum::of_layer(layer);
    options.parameters = [=, of_factors = spectrum::of_factors()](const loru::nn::TensorId& tensor) {
      return (!factors || of_factors(tensor)) && (!in_layer || in_layer(tensor));
    };
    return {std::move(dual), data(), samples, task_, options, pool};
  }

  static void check_layers(loru::nn::Model<Dual>& model, bool factors, const std::string& layer) {
    std::vector<std::string> names;
    Index factored = 0;
    model.visit({.weight = [&](const std::string& name, auto& weight) {
      names.push_back(name);
      factored += weight.rank() > 0 && (layer.empty() || layer == name);
    }});
    require<ConfigError>(layer.empty() || std::count(names.begin(), names.end(), layer) == 1,
                         "spectrum: --layers: unknown layer '", layer, "', nearest is '",
                         loru::nearest(layer, names), "'");
    require<ConfigError>(!factors || factored > 0,
                         "spectrum: operator: factors: expected layers W + s·B·A, got ",
                         layer.empty() ? std::string("none in this model") : layer + " without");
  }

  /// The server and the clients at one place of the plan.
  void measure(SpectrumTable& table, SpectrumPoint place, const Sets& sets) {
    Model model = state(place.round);
    const auto value = [&](const Samples& samples, loru::WorkerPool* pool) {
      if (stop_wanted) throw Interrupted{};
      Operator own = make_operator(model, place.name, place.layer, samples, pool);
      SpectrumValue v;
      if (o_.span) v.span = spectrum::span_of(spectrum::Operator<float>(own), own.gradient());
      v.spectrum = spectrum::measure(
          spectrum::Operator<float>(std::move(own)),
          {.tolerance = o_.tolerance, .seed = static_cast<std::uint64_t>(setup_.configuration.seed)});
      return v;
    };
    const auto deliver = [&](const SpectrumPoint& point, const SpectrumValue& v) {
      table.add(point, v);
      ++measured_;
      advance(point, v);
    };
    place.samples = std::ssize(sets.server);
    if (!skip(table, place)) deliver(place, value(sets.server, &pool_));
    std::vector<SpectrumPoint> points;
    std::vector<const Samples*> samples;
    for (std::size_t k = 0; k < sets.clients.size(); ++k) {
      SpectrumPoint p = place;
      p.client = static_cast<Index>(k);
      p.samples = std::ssize(sets.clients[k]);
      if (skip(table, p)) continue;
      points.push_back(p);
      samples.push_back(&sets.clients[k]);
    }
    loru::fl::run_in_order<SpectrumValue>(
        pool_, std::ssize(points),
        [&](Index i) { return value(*samples[static_cast<std::size_t>(i)], nullptr); },
        [&](Index i, SpectrumValue&& v) { deliver(points[static_cast<std::size_t>(i)], v); });
  }

  bool skip(const SpectrumTable& table, const SpectrumPoint& point) {
    if (!table.has(point)) return false;
    ++done_;
    return true;
  }

  Index total() const {
    Index points = 0;
    for (const Sets& sets : sets_) points += 1 + std::ssize(sets.clients);
    return points * std::ssize(layers()) * std::ssize(o_.operators) * std::ssize(rounds_);
  }

  /// What the values depend on: a folder with other settings is begun anew.
  std::string settings() const {
    std::string text =
        concat("# federate spectrum, ", loru::version, '\n', config_text(setup_), "\n[spectrum]\n",
               "clients = ", sets_[0].clients.size(), "\ntolerance = ", loru::to_text(o_.tolerance),
               "\nspan = ", o_.span ? "true" : "false", '\n');
    for (const Index round : rounds_) {
      Model model = state(round);
      text += concat("# state of round ", round, ": ", sha256(loru::io::to_archive(model)), '\n');
    }
    return text;
  }

  void advance(const SpectrumPoint& point, const SpectrumValue& value) {
    ++done_;
    if (run_.quiet) return;
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    const std::string who = point.client ? concat("client ", *point.client) : std::string("server");
    bar_.show(done_, total(),
              concat("round ", point.round, ' ', point.name, point.layer.empty() ? "" : " " + point.layer,
                     ' ', who, ", ", point.samples, " samples: stable rank ",
                     loru::to_text(rounded(value.spectrum.stable_rank))),
              passed / static_cast<double>(measured_) * static_cast<double>(total() - done_));
  }

  static double rounded(double x) { return std::round(x * 1000.0) / 1000.0; }

  const SpectrumOptions& o_;
  const RunOptions& run_;
  bool from_run_;
  Setup setup_;
  loru::data::Partition parts_;
  loru::train::Task<Dual> task_;
  loru::WorkerPool pool_;
  std::vector<Index> rounds_;
  std::vector<fs::path> states_;  // of the rounds of a run
  std::vector<Sets> sets_;        // one for each number of samples
  Bar bar_{run_.quiet};
  Index done_ = 0, measured_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace

const std::vector<std::string>& curvature_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const CurvatureName& c : curvatures()) all.push_back(c.name);
    return all;
  }();
  return names;
}

std::string default_spectrum_folder(const std::string& source) {
  if (fs::is_directory(source)) return (fs::path(source) / "spectrum").string();
  return (fs::path("runs") / fs::path(source).stem()).string() + "-spectrum";
}

ExitCode measure_spectrum(const SpectrumOptions& options, const Overrides& overrides, const RunOptions& run) {
  catch_interrupts();
  return Measurement(options, overrides, run)();
}

}  // namespace federate
