// train WEIGHTS CASE.safetensors OUT.safetensors: published weights with low-rank factors take steps of
// AdamW.
//
// CASE holds factors and classifier under their parameters' names and, of each step i, `tokens.i`, `starts.i`
// (sequence j is the tokens [starts[j], starts[j + 1])) and `targets.i`; metadata: rank, alpha, layers
// (patterns, with commas), learning_rate, steps. OUT holds `logits` and `d_<parameter>` of step 0 before any
// update, and `losses`.

#include <cstdio>
#include <exception>

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/freeze.hpp>
#include <loru/optim/optim.hpp>
#include <loru/train/published.hpp>

using namespace loru;

namespace {

using Model = nn::Model<float>;

/// Sets the parameters that the archive has. Returns how many.
std::size_t fill(Model& model, const io::Archive& values) {
  std::size_t filled = 0;
  for (auto& p : model.parameters()) {
    if (!values.contains(p.name)) continue;
    p.value.set_value(values.get<float>(p.name, p.value.shape()));
    ++filled;
  }
  return filled;
}

std::string text_of(const io::Archive& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  require<DataError>(found != file.metadata().end(), file.origin(), ": expected metadata '", key, "'");
  return found->second;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts(1);
  for (const char c : list) c == ',' ? void(parts.emplace_back()) : parts.back().push_back(c);
  return parts;
}

Tensor<std::int32_t> narrow(const Tensor<std::int64_t>& wide) {
  Tensor<std::int32_t> numbers(wide.shape());
  std::transform(wide.data(), wide.data() + wide.size(), numbers.data(),
                 [](std::int64_t x) { return static_cast<std::int32_t>(x); });
  return numbers;
}

/// The mean over the tokens that have a target.
Variable<float> mean_loss(const Variable<float>& values, const Tensor<std::int32_t>& targets) {
  const auto counted = std::count_if(targets.data(), targets.data() + targets.size(),
                                     [](std::int32_t t) { return t != no_target; });
  Tensor<float> share(values.shape());
  for (Index i = 0; i < share.size(); ++i)
    share.data()[i] =
        i % 2 == 0 && targets.data()[i / 2] != no_target ? 1.0f / static_cast<float>(counted) : 0.0f;
  return sum(multiply(values, Variable<float>(share)));
}

struct Step {
  nn::Tokens<> tokens;
  Tensor<std::int32_t> targets;

  Step(const io::Archive& file, Index i)
      : tokens{narrow(file.get<std::int64_t>("tokens." + std::to_string(i))), starts(file, i)},
        targets{narrow(file.get<std::int64_t>("targets." + std::to_string(i)))} {}

  Variable<float> loss(Model& model, bool decoder) {
    tokens.targets = decoder ? targets : Tensor<std::int32_t>{};
    const Variable<float> y = model({}, nn::Pass{.training = true, .sequences = &tokens});
    return decoder ? mean_loss(y, targets) : cross_entropy(y, targets);
  }

 private:
  static Sequences starts(const io::Archive& file, Index i) {
    const auto s = file.get<std::int64_t>("starts." + std::to_string(i));
    return {{s.data(), s.data() + s.size()}};
  }
};

void run(const char* weights, const char* given, const char* out) {
  io::Pretrained published = io::load_pretrained(weights);
  const io::Archive file = io::load(given);
  const bool decoder = published.configuration.architecture == io::Architecture::llama;
  Model model = train::transformer(published.configuration, {.drawn = false});
  train::set_published(model, std::move(published));
  nn::train_only(model, decoder ? std::vector<std::string>{} : std::vector<std::string>{"classifier.*"});
  lowrank::factorize(model, {.rank = std::stol(text_of(file, "rank")),
                             .alpha = std::stod(text_of(file, "alpha")),
                             .layers = split(text_of(file, "layers")),
                             .small_layers = lowrank::SmallLayers::factor});
  const auto trained = model.trained_parameters();
  require<DataError>(fill(model, file) == trained.size(), given, ": expected the ", trained.size(),
                     " trained parameters");
  const Index steps = std::stol(text_of(file, "steps"));
  io::Archive results;
  Tensor<double> losses({steps});
  std::vector<Variable<float>> variables;
  for (const auto& p : trained) variables.push_back(p.value);
  const auto optimizer =
      optim::make<float, Cpu>({.kind = optim::Kind::adamw, .weight_decay = 0.0}, variables);
  for (Index i = 0; i < steps; ++i) {
    Step step(file, i);
    if (i == 0) {
      NoGrad guard;
      results.put("logits", model({}, nn::Pass{.sequences = &step.tokens}).value());
    }
    optimizer->clear_gradients();
    const Variable<float> loss = step.loss(model, decoder);
    loss.backward();
    losses.data()[i] = static_cast<double>(loss.value().data()[0]);
    if (i == 0)
      for (const auto& p : trained) results.put("d_" + p.name, p.value.gradient());
    optimizer->step(std::stod(text_of(file, "learning_rate")));
  }
  results.put("losses", losses);
  io::save(out, results);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train: %s\n", error.what());
    return 2;
  }
  return 0;
}
