// One training step of a model, dense against low-rank, in turn: forward, backward, clipping, SGD with
// momentum and weight decay. Prints one line of JSON.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <loru/loru.hpp>

namespace {

using namespace loru;

struct Options {
  std::string model = "resnet18", input = "3x32x32";
  Index batch = 32, rank = 32, threads = 1, classes = 10, steps = 10;
  std::string plan = "auto";
  bool json = false;
};

/// "CxHxW" as a shape. Throws ConfigError.
Shape parse_input(const std::string& text) {
  Index c = 0, h = 0, w = 0;
  char end = 0;
  const bool three = std::sscanf(text.c_str(), "%tdx%tdx%td%c", &c, &h, &w, &end) == 3;
  require<ConfigError>(three && c > 0 && h > 0 && w > 0, "step: input: expected CxHxW, got '", text, "'");
  return {c, h, w};
}

lowrank::PlanChoice parse_plan(const std::string& text) {
  const std::map<std::string, lowrank::PlanChoice> choices{
      {"auto", lowrank::PlanChoice::automatic},
      {"factored", lowrank::PlanChoice::factored},
      {"composed", lowrank::PlanChoice::composed},
      {"composed_full", lowrank::PlanChoice::composed_full}};
  const auto found = choices.find(text);
  require<ConfigError>(found != choices.end(),
                       "step: plan: expected auto, factored, composed or composed_full, got '", text, "'");
  return found->second;
}

/// A model with its optimizer, ready to run the same step again and again.
class Trainer {
 public:
  Trainer(nn::Model<float> model, Tensor<float> x, Tensor<std::int32_t> labels)
      : model_{std::move(model)}, x_{std::move(x)}, labels_{std::move(labels)} {
    for (auto& p : model_.trained_parameters()) parameters_.push_back(p.value);
    optimizer_ =
        optim::make(optim::Options{.momentum = 0.9, .weight_decay = 1e-4, .clip_norm = 0.1}, parameters_);
  }

  /// Seconds of one step.
  double step() {
    const auto begin = std::chrono::steady_clock::now();
    optimizer_->clear_gradients();
    const auto loss = cross_entropy(model_(Variable<float>(x_), nn::Pass::train()), labels_);
    loss.backward();
    optimizer_->step(0.01);
    require<DivergedError>(std::isfinite(item(loss)), "step: the loss is not finite");
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

 private:
  nn::Model<float> model_;
  Tensor<float> x_;
  Tensor<std::int32_t> labels_;
  std::vector<Variable<float>> parameters_;
  std::unique_ptr<optim::Optimizer<float>> optimizer_;
};

double median_ms(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  return 500.0 * (seconds[(n - 1) / 2] + seconds[n / 2]);
}

/// How many layers chose which plan: "composed 3, composed_full 9".
std::string summary(const std::vector<lowrank::LayerPlan>& plans) {
  std::map<std::string, int> counts;
  for (const auto& p : plans) ++counts[to_string(p.plan)];
  std::string text;
  for (const auto& [name, count] : counts)
    text += (text.empty() ? "" : ", ") + name + " " + std::to_string(count);
  return text;
}

void run(const Options& o) {
  const Shape image = parse_input(o.input);
  const nn::ModelOptions build{
      .channels = image[0], .height = image[1], .width = image[2], .classes = o.classes};
  const nn::Model<float> dense = nn::build<float>(o.model, build);
  nn::Model<float> factored = dense;
  const bool residual = o.model.starts_with("resnet");
  lowrank::factorize(factored,
                     {.rank = o.rank,
                      .alpha = static_cast<double>(o.rank),
                      .layers = residual ? std::vector<std::string>{"layer*"} : std::vector<std::string>{},
                      .small_layers = lowrank::SmallLayers::factor,
                      .plan = parse_plan(o.plan)});
  rng::Stream stream(1, rng::Purpose::synthetic);
  Tensor<float> x({o.batch, image[0], image[1], image[2]}, Layout::channels_last);
  for (float& v : x.span()) v = static_cast<float>(stream.normal());
  Tensor<std::int32_t> labels({o.batch});
  for (auto& label : labels.span()) label = static_cast<std::int32_t>(stream.below(o.classes));

  const std::string plans = summary(lowrank::explain(factored, x.shape()));
  WorkerPool pool(o.threads);
  ParallelScope scope(pool);
  Trainer first(dense, x, labels), second(factored, x, labels);
  for (int i = 0; i < 3; ++i) first.step(), second.step();
  std::vector<double> dense_seconds, factored_seconds;
  for (Index i = 0; i < std::max<Index>(o.steps, 10); ++i) {
    dense_seconds.push_back(first.step());
    factored_seconds.push_back(second.step());
  }
  const double a = median_ms(dense_seconds), b = median_ms(factored_seconds);
  if (o.json)
    std::cout << nlohmann::ordered_json{{"model", o.model}, {"input", o.input},     {"batch", o.batch},
                                        {"rank", o.rank},   {"threads", o.threads}, {"dense_ms", a},
                                        {"lowrank_ms", b},  {"plan", plans}}
              << '\n';
  else
    std::cout << o.model << ' ' << o.input << ", batch " << o.batch << ", " << o.threads
              << " thread(s): dense " << a << " ms, rank " << o.rank << ' ' << b << " ms (" << plans << ")\n";
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Times one training step of a model, dense and low-rank in turn."};
  app.add_option("--model", o.model, "logistic, mlp, cnn, lenet, resnet10 or resnet18");
  app.add_option("--input", o.input, "shape of an image, CxHxW");
  app.add_option("--batch", o.batch)->check(CLI::PositiveNumber);
  app.add_option("--rank", o.rank)->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  app.add_option("--classes", o.classes)->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "timed steps of each kind, at least 10");
  app.add_option("--plan", o.plan, "auto, factored, composed or composed_full");
  app.add_flag("--json", o.json, "one line of JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "step: " << error.what() << '\n';
    return 2;
  }
}
