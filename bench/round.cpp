// Whole rounds of a federation: broadcast, local training, averaging and, every few rounds, evaluation.
// Prints one line of JSON. bench/peers trains the same federations in other people's software, on the data
// that --export writes.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <loru/loru.hpp>

namespace {

using namespace loru;

struct Options {
  std::string name = "quickstart", data, write_to;
  Index threads = 1, rounds = 0, eval_every = 0, seed = 1;
};

/// A federation: data and model, who takes part, how clients train.
struct Case {
  std::vector<std::string> data;  // names to look for; else synthetic data of the same shape
  data::SyntheticOptions shape;
  nn::Model<float> (*model)(const nn::ModelOptions&);
  fl::AnyAlgorithm<float> algorithm;
  lowrank::FactorizeOptions lowrank;  // used if the algorithm is low-rank
  Index clients, cohort, rounds, eval_every;
  fl::ClientOptions client;
};

/// conv1 3×3 (32), relu, conv2 3×3 (64), relu, max-pool 2, dropout 1/4, fc1 (128), relu, dropout 1/2, fc2
/// (classes); no padding. Source: simple_cnn in benchmarks/model/pytorch/cnn.py of
/// github.com/apple/pfl-research, as its published CIFAR-10 benchmark
/// (benchmarks/image_classification/configs/baseline.yaml) trains it.
nn::Model<float> pfl_cnn(const nn::ModelOptions& o) {
  const rng::Stream init(o.seed, rng::Purpose::init);
  const auto xavier = nn::Init::xavier;
  const Index pooled = (o.height - 4) / 2 * ((o.width - 4) / 2);
  nn::Sequential<float> s;
  s.add("conv1", nn::Conv2d<float>({.in = o.channels, .out = 32, .kernel = 3, .init = xavier}, init.fork(0)));
  s.add("relu1", nn::ReLU<float>());
  s.add("conv2", nn::Conv2d<float>({.in = 32, .out = 64, .kernel = 3, .init = xavier}, init.fork(1)));
  s.add("relu2", nn::ReLU<float>()).add("pool", nn::MaxPool2d<float>());
  s.add("dropout1", nn::Dropout<float>(0.25)).add("flatten", nn::Flatten<float>());
  s.add("fc1", nn::Linear<float>({.in = 64 * pooled, .out = 128, .init = xavier}, init.fork(2)));
  s.add("relu3", nn::ReLU<float>()).add("dropout2", nn::Dropout<float>(0.5));
  s.add("fc2", nn::Linear<float>({.in = 128, .out = o.classes, .init = xavier}, init.fork(3)));
  return s;
}

/// The cases by name. `quickstart` and `fedavg` are examples/federations/quickstart.toml and
/// quickstart_fedavg.toml with fewer rounds, `cifar` the published benchmark of pfl-research. Throws
/// ConfigError.
Case find_case(const std::string& name) {
  const data::SyntheticOptions mnist{.sample = {1, 28, 28}, .train = 60000, .test = 10000};
  const data::SyntheticOptions cifar{.sample = {3, 32, 32}, .train = 50000, .test = 10000};
  const fl::ClientOptions momentum{
      .epochs = 2, .batch = 32, .optimizer = {.learning_rate = 0.05, .momentum = 0.9}};
  const lowrank::FactorizeOptions factors{.rank = 16, .alpha = 16.0, .layers = {"conv2", "fc1"}};
  const std::vector<std::string> fashion{"fashion-mnist"}, digits{"mnist", "fashion-mnist"};
  if (name == "quickstart")
    return {fashion, mnist, nn::cnn<float>, fl::FedLoRU{.tau = 7}, factors, 100, 10, 3, 3, momentum};
  if (name == "fedavg") return {fashion, mnist, nn::cnn<float>, fl::FedAvg{}, {}, 100, 10, 3, 3, momentum};
  if (name == "logistic")
    return {digits,
            mnist,
            nn::logistic<float>,
            fl::FedAvg{},
            {},
            1000,
            10,
            100,
            10,
            {.epochs = 1, .batch = 10, .optimizer = {.learning_rate = 0.03}}};
  if (name == "cifar")
    return {{"cifar10"}, cifar,
            pfl_cnn,     fl::FedAvg{},
            {},          1000,
            50,          20,
            10,          {.epochs = 1, .batch = 10, .optimizer = {.learning_rate = 0.1}}};
  fail<ConfigError>("round: case: expected quickstart, fedavg, logistic or cifar, got '", name, "'");
}

/// Features as bytes, 40 steps to a unit around 128: what an IDX file holds.
data::Dataset as_bytes(const data::Dataset& from) {
  data::Dataset set = from;
  std::vector<std::uint8_t> bytes;
  for (const float x : std::get<std::vector<float>>(from.features))
    bytes.push_back(static_cast<std::uint8_t>(std::clamp(std::lround(128.0f + 40.0f * x), 0L, 255L)));
  set.features = std::move(bytes);
  return set;
}

/// The data of a case: of the folder with IDX files, else of the first data set found, else synthetic.
data::Split load(const Case& c, const std::string& folder) {
  if (!folder.empty()) return data::idx({}, folder);
  for (const std::string& name : c.data) {
    try {
      return data::load({.name = name});
    } catch (const DataError&) {  // not there: the next one
    }
  }
  const data::Split clouds = data::synthetic(c.shape);
  data::Split split{as_bytes(clouds.train), as_bytes(clouds.test)};
  split.train.normalisation = split.test.normalisation = data::measure(split.train, 1.0 / 255.0);
  return split;
}

/// An IDX file of unsigned bytes. Throws IoError.
void write_idx(const std::filesystem::path& path, const std::vector<Index>& shape,
               const std::vector<std::uint8_t>& values) {
  std::string text{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const Index extent : shape)
    for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(extent >> shift & 255);
  text.append(values.begin(), values.end());
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  require<IoError>(file.good(), path.string(), ": cannot be written");
}

/// Writes a split as the four IDX files that --data reads: images (N, C, H, W) and labels.
void write_split(const data::Split& split, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const data::IdxFiles files;
  const auto write = [&](const data::Dataset& set, const auto& images, const auto& labels) {
    const Shape& s = set.sample;
    write_idx(folder / images, {set.size(), s[0], s[1], s[2]},
              std::get<std::vector<std::uint8_t>>(set.features));
    write_idx(folder / labels, {set.size()}, {set.labels().begin(), set.labels().end()});
  };
  write(split.train, files.train_images, files.train_labels);
  write(split.test, files.test_images, files.test_labels);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

void run(const Options& o) {
  const Case c = find_case(o.name);
  const data::Split data = load(c, o.data);
  if (!o.write_to.empty()) {
    write_split(data, o.write_to);
    std::cout << nlohmann::ordered_json{{"case", o.name}, {"data", data.train.name}} << '\n';
    return;
  }
  const Shape& image = data.train.sample;
  const auto seed = static_cast<std::uint64_t>(o.seed);
  auto model = c.model({.channels = image[0],
                        .height = image[1],
                        .width = image[2],
                        .classes = data.train.classes,
                        .seed = seed});
  if (c.algorithm.low_rank) lowrank::factorize(model, c.lowrank);
  const auto parts = data::iid(data.train, {.clients = c.clients, .seed = seed});
  fl::Simulation<float> simulation(std::move(model), c.algorithm, data, parts,
                                   {.cohort = c.cohort,
                                    .client = c.client,
                                    .seed = seed,
                                    .threads = o.threads,
                                    .eval_every = o.eval_every > 0 ? o.eval_every : c.eval_every});
  std::vector<double> seconds;
  double train = 0.0, accuracy = 0.0;
  for (const fl::Round& round : simulation.rounds(o.rounds > 0 ? o.rounds : c.rounds)) {
    seconds.push_back(round.seconds);
    train += round.train_seconds;
    if (round.evaluated()) accuracy = round.test_accuracy;
  }
  double total = 0.0;
  for (const double s : seconds) total += s;
  std::cout << nlohmann::ordered_json{{"case", o.name},
                                      {"data", data.train.name},
                                      {"clients", c.clients},
                                      {"cohort", c.cohort},
                                      {"threads", o.threads},
                                      {"rounds", seconds.size()},
                                      {"seconds_per_round", median(seconds)},
                                      {"total_seconds", total},
                                      {"train_seconds", train},
                                      {"final_test_accuracy", accuracy}}
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Times whole rounds of a federation."};
  app.add_option("--case", o.name, "quickstart, fedavg, logistic or cifar");
  app.add_option("--data", o.data, "folder with a data set as IDX files; otherwise the case's own");
  app.add_option("--export", o.write_to, "write the case's data there as IDX files, and train nothing");
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  app.add_option("--rounds", o.rounds, "otherwise the case's own")->check(CLI::PositiveNumber);
  app.add_option("--eval-every", o.eval_every, "otherwise the case's own")->check(CLI::PositiveNumber);
  app.add_option("--seed", o.seed)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "round: " << error.what() << '\n';
    return 2;
  }
}
