#include "spectrum.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>

#include <loru/core/in_order.hpp>
#include <loru/spectrum/curvature.hpp>
#include <loru/version.hpp>

#include "bar.hpp"
#include "federation.hpp"
#include "lock.hpp"
#include "output.hpp"
#include "report/report.hpp"
#include "run_folder.hpp"
#include "run_result.hpp"
#include "settings.hpp"
#include "spectrum_table.hpp"

namespace federate {

namespace fs = std::filesystem;
namespace spectrum = loru::spectrum;
using loru::concat, loru::ConfigError, loru::require;

namespace {

using Dual = loru::Dual<float>;
using Operator = spectrum::CurvatureOperator<float>;
using Samples = std::vector<Index>;

/// Ctrl-C, seen between two products.
struct Interrupted {};

/// The operator until Ctrl-C.
struct Stoppable {
  Operator own;

  Index size() const { return own.size(); }
  double gradients() const { return own.gradients(); }
  std::vector<float> product(std::span<const float> x) {
    if (stop_wanted) throw Interrupted{};
    return own.product(x);
  }
};

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

/// Where a run's model after a round is, and whether all its layers are dense, as in a warm-up.
struct State {
  fs::path file;
  bool dense = false;
};

/// The last round that a run has done; nothing if it was killed and has kept rounds alone.
std::optional<Index> last_round(const fs::path& folder) {
  if (!fs::exists(folder / "summary.json")) return std::nullopt;
  return read_run(folder, {}).rounds;
}

/// The model of a round that was kept, or of the last, which is no longer dense.
State state_of(const fs::path& folder, Index round, std::optional<Index> last, Index warmup_rounds) {
  const fs::path kept = folder / "rounds" / concat(round, ".safetensors");
  if (fs::exists(kept)) return {kept, warmup_rounds > 0 && round <= warmup_rounds};
  require<ConfigError>(round == last, folder.native(), ": round ", round,
                       " was not kept: expected one of federation.keep_rounds",
                       last ? concat(", or ", *last, ", the last") : std::string());
  return {folder / "model.safetensors"};
}

/// Throws ConfigError for a value given twice.
template <class V>
void all_different(const char* option, const std::vector<V>& values) {
  for (auto v = values.begin(); v != values.end(); ++v)
    require<ConfigError>(std::count(values.begin(), v, *v) == 0, "spectrum: ", option,
                         ": expected different ones, got ", *v, " twice");
}

/// "round 5 hessian fc1 client 3, 20 samples".
std::string text_of(const SpectrumPoint& p) {
  return concat("round ", p.round, ' ', p.name, p.layer.empty() ? "" : " " + p.layer, ' ',
                p.client ? concat("client ", *p.client) : std::string("server"), ", ", p.samples, " samples");
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
    check_options();
    choose_rounds();
    choose_clients();
    check_models();
  }

  ExitCode operator()() {
    const FolderLock lock(run_.out, "spectrum");
    SpectrumTable table(run_.out, settings(), hashes(), o_.span,
                        loru::train::make_task<float>(setup_.configuration.task).outputs(data()));
    ExitCode code = success;
    std::string failure;
    try {
      for_each_place([&](const SpectrumPoint& place, const Sets& sets) { measure(table, place, sets); });
    } catch (const Interrupted&) {
      code = interrupted;
      failure =
          concat("stopped after ", done_, " of ", total(), " points; the same command goes on with them");
    } catch (const loru::DivergedError& error) {
      code = failed_run;
      failure = error.what();
    }
    bar_.end();
    if (code == success)
      finish(table);
    else
      report_error(failure);
    return code;
  }

 private:
  const loru::data::Dataset& data() const { return setup_.data.train; }

  Configuration configuration(const Overrides& overrides) const {
    const fs::path file = from_run_ ? fs::path(o_.source) / "config.toml" : fs::path(o_.source);
    Configuration c = read_configuration(file.string(), overrides);
    if (from_run_) require_same_run(read_configuration(file.string(), {}), c, "spectrum");
    c.device = "cpu";  // its ops take dual numbers
    std::string names;
    for (const std::string& name : loru::nn::model_names()) names += (names.empty() ? "" : ", ") + name;
    require<ConfigError>(!is_transformer(c.model), "spectrum: model.name: expected one of ", names, ", got ",
                         c.model);
    return c;
  }

  void check_options() const {
    all_different("--at", o_.rounds);
    all_different("--samples", o_.samples);
    all_different("--operator", o_.operators);
    all_different("--layers", o_.layers);
    for (const std::string& name : o_.operators) curvature(name);
    for (const std::string& layer : o_.layers)
      require<ConfigError>(!layer.empty(), "spectrum: --layers: expected names of layers, got an empty one");
    require<ConfigError>(o_.tolerance > 0.0 && std::isfinite(o_.tolerance),
                         "spectrum: --tolerance: expected above 0, got ", o_.tolerance);
    require_no_run(run_.out, "spectrum");
  }

  void choose_rounds() {
    const std::optional<Index> last = from_run_ ? last_round(o_.source) : std::optional<Index>(0);
    rounds_ = o_.rounds;
    if (rounds_.empty()) {
      require<ConfigError>(last.has_value(), o_.source,
                           ": the run has no last model: expected --at with a round that it has kept");
      rounds_.push_back(*last);
    }
    for (const Index round : rounds_) {
      require<ConfigError>(from_run_ || round == 0, "spectrum: --at: expected 0 for a configuration, got ",
                           round, ": run it first, with federation.keep_rounds");
      if (from_run_)
        states_.emplace(round, state_of(o_.source, round, last, setup_.configuration.warmup_rounds));
    }
  }

  void choose_clients() {
    const Index all = parts_.clients(), count = o_.clients.value_or(std::min<Index>(20, all));
    require<ConfigError>(count >= 0 && count <= all, "spectrum: --clients: expected 0 to ", all,
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
      Samples own = parts_.samples(k);
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
    const State& from = states_.at(round);
    Model model = from.dense ? dense_model(setup_.configuration, data()) : setup_.model;
    loru::io::load(model, from.file);
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

  /// visit(place, sets) for all places of the plan and the data sets that are measured there.
  void for_each_place(const std::function<void(const SpectrumPoint&, const Sets&)>& visit) const {
    for (const Index round : rounds_)
      for (const std::string& name : o_.operators)
        for (const std::string& layer : layers())
          for (const Sets& sets : sets_) visit({.round = round, .name = name, .layer = layer}, sets);
  }

  /// The points of a place.
  static SpectrumGroup group(SpectrumPoint place, const Sets& sets) {
    place.samples = std::ssize(sets.server);
    SpectrumGroup g{.server = place};
    for (std::size_t k = 0; k < sets.clients.size(); ++k) {
      place.client = static_cast<Index>(k);
      place.samples = std::ssize(sets.clients[k]);
      g.clients.push_back(place);
    }
    return g;
  }

  /// The server, and then the clients in parallel.
  void measure(SpectrumTable& table, const SpectrumPoint& place, const Sets& sets) {
    Model model = state(place.round);
    const SpectrumGroup points = group(place, sets);
    const auto deliver = [&](const SpectrumPoint& point, const SpectrumValue& v) {
      table.add(point, v);
      ++measured_;
      advance(point, v);
    };
    if (!skip(table, points.server)) deliver(points.server, value(model, points.server, sets.server, &pool_));
    std::vector<const SpectrumPoint*> left;
    for (const SpectrumPoint& client : points.clients)
      if (!skip(table, client)) left.push_back(&client);
    const auto point = [&](Index i) -> const SpectrumPoint& { return *left[static_cast<std::size_t>(i)]; };
    loru::run_in_order<SpectrumValue>(
        pool_, std::ssize(left),
        [&](Index i) {
          return value(model, point(i), sets.clients[static_cast<std::size_t>(*point(i).client)], nullptr);
        },
        [&](Index i, SpectrumValue&& v) { deliver(point(i), v); });
  }

  SpectrumValue value(Model& model, const SpectrumPoint& point, const Samples& samples,
                      loru::WorkerPool* pool) const {
    try {
      Operator own = make_operator(model, point.name, point.layer, samples, pool);
      const std::vector<float> gradient = o_.span ? own.gradient() : std::vector<float>();
      const spectrum::Operator<float> h(Stoppable{std::move(own)});
      SpectrumValue v;
      if (o_.span) v.span = spectrum::span_of(h, gradient);
      v.spectrum = spectrum::measure(
          h, {.tolerance = o_.tolerance, .seed = static_cast<std::uint64_t>(setup_.configuration.seed)});
      return v;
    } catch (const loru::DivergedError& error) {
      throw loru::DivergedError(concat(text_of(point), ": ", error.what()));
    }
  }

  /// Writes and shows what has been measured.
  void finish(const SpectrumTable& table) const {
    std::vector<SpectrumGroup> groups;
    for_each_place(
        [&](const SpectrumPoint& place, const Sets& sets) { groups.push_back(group(place, sets)); });
    const std::string summary = table.summary(groups);
    loru::io::write_file(fs::path(run_.out) / "summary.md", summary);
    report::write({.folders = {run_.out}});
    if (!run_.quiet) std::cout << summary << "written to " << run_.out << '\n';
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

  /// What the values depend on besides the models: a folder with other settings is begun anew.
  std::string settings() const {
    return concat("# federate spectrum, ", loru::version, '\n', config_text(setup_), "\n[spectrum]\n",
                  "clients = ", sets_[0].clients.size(), "\ntolerance = ", loru::to_text(o_.tolerance),
                  "\nspan = ", o_.span ? "true" : "false", '\n');
  }

  /// Of the models of the rounds.
  std::map<Index, std::string> hashes() const {
    std::map<Index, std::string> all;
    for (const Index round : rounds_) {
      Model model = state(round);
      all.emplace(round, sha256(loru::io::to_archive(model)));
    }
    return all;
  }

  void advance(const SpectrumPoint& point, const SpectrumValue& value) {
    ++done_;
    if (run_.quiet) return;
    const double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    bar_.show(done_, total(),
              concat(text_of(point), ": stable rank ", loru::to_text(rounded(value.spectrum.stable_rank))),
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
  std::map<Index, State> states_;  // of the rounds of a run
  std::vector<Sets> sets_;         // one for each number of samples
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
