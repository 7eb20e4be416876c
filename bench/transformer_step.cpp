// One LoRA training step of a transformer of a published shape with random weights, or with those of a GGUF
// file: forward, backward, AdamW on the factors (and the classifier). Prints one line of JSON.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <loru/loru.hpp>

namespace {

using namespace loru;

struct Options {
  std::string model = "minilm", weights;
  bool keep_quantised = false;
  Index batch = 32, shortest = 2, longest = 50, rank = 8, threads = 1, steps = 10;
};

/// Tokens of `batch` sequences whose lengths are spread evenly from the shortest to the longest.
nn::Tokens<> random_tokens(const Options& o, Index vocabulary) {
  Sequences s;
  for (Index i = 0; i < o.batch; ++i)
    s.starts.push_back(s.rows() + o.shortest +
                       (o.longest - o.shortest) * i / std::max<Index>(1, o.batch - 1));
  Tensor<std::int32_t> ids(Shape{s.rows()});
  rng::Stream stream(1, rng::Purpose::synthetic);
  for (auto& id : ids.span()) id = static_cast<std::int32_t>(stream.below(vocabulary));
  return {ids, s};
}

Tensor<std::int32_t> next_tokens(const nn::Tokens<>& tokens) {
  Tensor<std::int32_t> next(tokens.tokens.shape());
  for (Index s = 0; s < tokens.bounds.count(); ++s)
    for (Index i = tokens.bounds.first(s); i < tokens.bounds.first(s + 1); ++i)
      next.data()[i] = i + 1 < tokens.bounds.first(s + 1) ? tokens.tokens.data()[i + 1] : no_target;
  return next;
}

struct Problem {
  nn::Model<float> model;
  nn::Tokens<> tokens;
  std::function<Variable<float>(const Variable<float>&)> loss;
};

Problem classifier(const Options& o) {
  Problem p{nn::bert<float>(), random_tokens(o, nn::BertOptions{}.vocabulary), {}};
  nn::train_only(p.model, {"classifier.*"});
  lowrank::factorize(p.model, {.rank = o.rank,
                               .alpha = 2.0 * static_cast<double>(o.rank),
                               .layers = {"*.attention.self.query", "*.attention.self.value"}});
  Tensor<std::int32_t> labels({o.batch});
  for (Index i = 0; i < o.batch; ++i) labels.data()[i] = static_cast<std::int32_t>(i % 2);
  p.loss = [labels](const Variable<float>& z) { return cross_entropy(z, labels); };
  return p;
}

/// A LLaMA of SmolLM2's shape with the weights of a file.
nn::Model<float> published_llama(const Options& o) {
  auto model = nn::llama<float>({.drawn = false});
  train::set_published(model, io::load_pretrained(o.weights, {.keep_quantised = o.keep_quantised}));
  return model;
}

Problem decoder(const Options& o) {
  Problem p{o.weights.empty() ? nn::llama<float>() : published_llama(o),
            random_tokens(o, nn::LlamaOptions{}.vocabulary),
            {}};
  nn::train_only(p.model, {});
  lowrank::factorize(
      p.model,
      {.rank = o.rank, .alpha = 2.0 * static_cast<double>(o.rank), .layers = {"*.q_proj", "*.v_proj"}});
  p.tokens.targets = next_tokens(p.tokens);
  data::Batch<float> batch;
  batch.labels = p.tokens.targets;
  p.loss = [batch](const Variable<float>& values) { return train::NextToken{}.loss(values, batch); };
  return p;
}

double peak_megabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024.0;
  return 0.0;
}

void run(const Options& o) {
  require<ConfigError>(o.model == "minilm" || o.model == "smollm2",
                       "transformer_step: model: expected minilm or smollm2, got '", o.model, "'");
  require<ConfigError>(o.weights.empty() || o.model == "smollm2",
                       "transformer_step: --weights: expected the model smollm2, got ", o.model);
  Problem p = o.model == "minilm" ? classifier(o) : decoder(o);
  std::vector<Variable<float>> parameters;
  for (auto& v : p.model.trained_parameters()) parameters.push_back(v.value);
  const auto optimizer = optim::make(optim::Options{.kind = optim::Kind::adamw}, parameters);
  WorkerPool pool(o.threads);
  ParallelScope scope(pool);
  std::vector<double> seconds;
  double last = 0.0;
  for (Index step = -2; step < std::max<Index>(o.steps, 5); ++step) {
    const auto begin = std::chrono::steady_clock::now();
    optimizer->clear_gradients();
    nn::Pass pass = nn::Pass::train();
    pass.sequences = &p.tokens;
    const auto loss = p.loss(p.model({}, pass));
    last = item(loss);
    loss.backward();
    optimizer->step(1e-3);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    if (step >= 0) seconds.push_back(elapsed.count());
  }
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  const double ms = 500.0 * (seconds[(n - 1) / 2] + seconds[n / 2]);
  const auto rows = static_cast<double>(p.tokens.bounds.rows());
  std::cout << nlohmann::ordered_json{{"model", o.model},
                                      {"batch", o.batch},
                                      {"tokens", p.tokens.bounds.rows()},
                                      {"longest", o.longest},
                                      {"r", o.rank},
                                      {"threads", o.threads},
                                      {"keep_quantised", o.keep_quantised},
                                      {"loss", last},
                                      {"peak_mb", peak_megabytes()},
                                      {"tokens_a_second", 1e3 * rows / ms},
                                      {"ms", ms}}
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Times a LoRA step of MiniLM (classification) or SmolLM2 (next tokens) with random weights."};
  app.add_option("--model", o.model, "minilm or smollm2");
  app.add_option("--weights", o.weights, "of smollm2: a GGUF file");
  app.add_flag("--keep-quantised", o.keep_quantised, "its matrices stay as they are in the file");
  app.add_option("--batch", o.batch, "sequences")->check(CLI::PositiveNumber);
  app.add_option("--shortest", o.shortest, "tokens of the shortest sequence")->check(CLI::PositiveNumber);
  app.add_option("--longest", o.longest, "tokens of the longest sequence")->check(CLI::PositiveNumber);
  app.add_option("--rank", o.rank)->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "timed steps, at least 5");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "transformer_step: " << error.what() << '\n';
    return 2;
  }
}
