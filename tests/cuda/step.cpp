// What a training step and a client's turn ask of the device: launches, products, copies, synchronisations
// and allocations.
#include <future>
#include <numeric>
#include <stdexcept>
#include <thread>

#include <loru/cuda/cuda.cuh>
#include <loru/data/synthetic.hpp>
#include <loru/fl/fl.hpp>
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/train.hpp>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// While one is alive, the device counts what it is asked and computes nothing. Where a step never waits for
/// the device, the host cannot know the difference.
struct CountsAlone {
  emulator::Device before = emulator::device;
  CountsAlone() {
    emulator::device.computes = false;
    emulator::device.block_memory = std::size_t{227} << 10;
    emulator::device.multiprocessor_memory = std::size_t{228} << 10;
  }
  CountsAlone(const CountsAlone&) = delete;
  CountsAlone& operator=(const CountsAlone&) = delete;
  ~CountsAlone() { emulator::device = before; }
};

struct Asked {
  std::int64_t launches = 0, products = 0, copies = 0, synchronisations = 0, allocations = 0;
  std::map<std::string, std::int64_t> by_name;
};

Asked between(const emulator::Inventory& a, const emulator::Inventory& b) {
  Asked asked{0,
              b.all_products - a.all_products,
              b.all_copies - a.all_copies,
              b.all_synchronisations - a.all_synchronisations,
              b.all_allocations - a.all_allocations,
              b.launches};
  for (auto& [name, count] : asked.by_name) {
    if (const auto found = a.launches.find(name); found != a.launches.end()) count -= found->second;
    asked.launches += count;
  }
  std::erase_if(asked.by_name, [](const auto& entry) { return entry.second == 0; });
  return asked;
}

std::string text(const Asked& asked) {
  std::string lines =
      concat(asked.launches, " launches, ", asked.products, " products, ", asked.copies, " copies, ",
             asked.synchronisations, " synchronisations, ", asked.allocations, " allocations\n");
  for (const auto& [name, count] : asked.by_name) lines += concat("  ", count, ' ', name, '\n');
  return lines;
}

data::Split pictures(Index count) {
  return data::synthetic({.classes = 10, .sample = {3, 32, 32}, .train = count, .test = 10});
}

nn::Model<float, Cuda> model_of(const std::string& name, Index rank, lowrank::PlanChoice plan) {
  auto model = nn::build<float, Cuda>(name, {.channels = 3, .height = 32, .width = 32, .classes = 10});
  lowrank::factorize(model, {.rank = rank,
                             .layers = {name.starts_with("resnet") ? "layer*" : "*"},
                             .small_layers = lowrank::SmallLayers::factor,
                             .plan = plan});
  return model;
}

/// The last of six steps on 32 images of 32 x 32 pixels.
Asked steady_step(nn::Model<float, Cuda> model, const optim::Options& optimizer,
                  const data::Augment& augment = {}) {
  const data::Split set = pictures(96);
  const train::Task<float, Cuda> task{train::Classification{}};
  const train::DeviceData<Cuda> dataset(set.train);
  train::Loop<float, Cuda> loop(model, task, dataset, optimizer, augment, train::streams(1, 1, 0), "step");
  std::vector<Index> samples(96);
  std::iota(samples.begin(), samples.end(), 0);
  std::vector<emulator::Inventory> seen;
  double total = 0.0;
  const auto count = [&](auto&) { seen.push_back(emulator::inventory()); };
  CHECK(loop.run(samples, 32, 6, [](Index) { return 0.1; }, count, total) == 192);
  return between(seen.at(4), seen.at(5));
}

const optim::Options momentum{.learning_rate = 0.1, .momentum = 0.9};

}  // namespace

TEST_CASE(
    "cuda step: a ResNet-18's waits for nothing, copies and allocates nothing, and starts few kernels") {
  if (!emulator::present) LORU_SKIP("what a step asks for is counted on the emulator");
  using lowrank::PlanChoice;
  const KeepBlocks keep;
  const CountsAlone counting;
  const auto check = [](const Asked& asked, std::int64_t launches, std::int64_t products) {
    INFO(text(asked));
    CHECK(asked.launches <= launches);
    CHECK(asked.products <= products);
    CHECK(asked.copies == 0);
    CHECK(asked.synchronisations == 0);
    CHECK(asked.allocations == 0);
  };
  struct Expected {
    PlanChoice plan;
    std::int64_t launches, products;
  };
  for (const auto& [plan, launches, products] : {Expected{PlanChoice::automatic, 183, 23},
                                                 {PlanChoice::factored, 183, 3},
                                                 {PlanChoice::composed, 185, 41},
                                                 {PlanChoice::composed_full, 166, 41}}) {
    INFO("plan " << static_cast<int>(plan));
    check(steady_step(model_of("resnet18", 16, plan), momentum, {.pad = 4, .flip = true}), launches,
          products);
  }
  optim::Options clipped = momentum;
  clipped.clip_norm = 1.0;
  check(steady_step(model_of("resnet18", 128, PlanChoice::automatic), clipped), 175, 35);
}

TEST_CASE("cuda step: a client's turn takes four copies, and three if the broadcast was sent before") {
  if (!emulator::present) LORU_SKIP("what a turn asks for is counted on the emulator");
  const KeepBlocks keep;
  const CountsAlone counting;
  const data::Split set = pictures(96);
  auto model = model_of("resnet18", 16, lowrank::PlanChoice::automatic);
  const fl::FedLoRU algorithm{};
  const fl::AnyAlgorithm<float, Cuda> any = algorithm;
  fl::Server<float, Cuda> server(model, algorithm, 1);
  const fl::ClientOptions options{.epochs = 3, .batch = 32, .optimizer = momentum};
  const train::DeviceData<Cuda> dataset(set.train);
  std::vector<Index> samples(80);
  std::iota(samples.begin(), samples.end(), 0);
  server.begin_round();
  for (const Index client : {0, 1, 2}) {
    const fl::Message broadcast = server.broadcast(client);
    io::Archive state("state");
    const auto before = emulator::inventory();
    const fl::Message update =
        fl::take_turn(model, io::borrow(broadcast, "broadcast"), any,
                      fl::LocalData<float, Cuda>{dataset, samples, options}, state, fl::Frozen::shared);
    const Asked asked = between(before, emulator::inventory());
    INFO(text(asked));
    // The broadcast; the samples of all batches; their losses; the update.
    CHECK(asked.copies == (client == 0 ? 4 : 3));
    CHECK(asked.synchronisations == asked.copies);
    CHECK(!update.empty());
  }
  CHECK(emulator::inventory().misuse == std::vector<std::string>{});
}

namespace {

/// The state of a model after two passes of five steps, of which the last of a pass has fewer samples, and
/// the sum of its losses.
std::vector<Tensor<float>> trained(const std::string& name, const optim::Options& optimizer, double dropout) {
  const data::Split set = data::synthetic({.classes = 3, .sample = {1, 8, 8}, .train = 9, .test = 3});
  auto model = nn::build<float, Cuda>(
      name, {.channels = 1, .height = 8, .width = 8, .classes = 3, .seed = 3, .narrow = 32});
  lowrank::factorize(model, {.rank = 2, .layers = {"*"}, .dropout = dropout});
  const train::Task<float, Cuda> task{train::Classification{}};
  const train::DeviceData<Cuda> dataset(set.train);
  const data::Augment augment{.pad = 1, .flip = true};
  std::vector<Tensor<float>> results;
  double total = 0.0;
  {
    train::Loop<float, Cuda> loop(model, task, dataset, optimizer, augment, train::streams(1, 1, 0), "step");
    std::vector<Index> samples(9);
    std::iota(samples.begin(), samples.end(), 0);
    const auto rate = [](Index step) { return step < 8 ? 0.01 : 0.005; };
    CHECK(loop.run(samples, 2, 10, rate, {}, total) == 18);
  }
  for (const auto& entry : model.state()) results.push_back(to_host(entry.value));
  results.push_back(Tensor<float>(Shape{}, {static_cast<float>(total)}));
  return results;
}

}  // namespace

TEST_CASE("cuda step: a recorded step gives the bits of one that is not, and names no memory of the host") {
  if (!emulator::present) LORU_SKIP("what a step asks for is counted on the emulator");
  const KeepBlocks keep;
  optim::Options clipped = momentum, adam = momentum;
  clipped.clip_norm = 0.5;
  adam.kind = optim::Kind::adam;
  struct Case {
    std::string name;
    optim::Options optimizer;
    double dropout;
    std::int64_t graphs;  // steps that were started as one
  };
  // Of the steps 0 to 9 two warm up, 4 and 9 are of one sample, and 8 has another rate.
  for (const auto& [name, optimizer, dropout, graphs] :
       {Case{"resnet10", clipped, 0.0, 5}, Case{"mlp", momentum, 0.0, 5}, Case{"mlp", adam, 0.0, 0},
        Case{"mlp", momentum, 0.5, 0}}) {
    INFO(name << ", " << graphs << " graphs");
    const auto expected = trained(name, optimizer, dropout);
    const auto before = emulator::inventory();
    cuda::detail::record_steps() = true;
    const auto got = trained(name, optimizer, dropout);
    cuda::detail::record_steps() = false;
    const auto after = emulator::inventory();
    check_exact(got, expected);
    CHECK(after.all_graphs - before.all_graphs == graphs);
    CHECK(after.misuse == std::vector<std::string>{});
  }
}

TEST_CASE("cuda step: a recorded step does not use memory that was given back, nor wait") {
  if (!emulator::present) LORU_SKIP("what a step asks for is counted on the emulator");
  const KeepBlocks keep;
  cuda::detail::record_steps() = true;
  cuda::Recording recording;
  auto x = to_device(gaussian<float>({9}));
  const auto before = emulator::inventory().all_graphs;
  const auto step = [&] { add_scaled(x, 1.0F, scale(x, 2.0F)); };
  for (int i = 0; i < 4; ++i) recording.run(1.0, step);
  CHECK(emulator::inventory().all_graphs == before + 2);
  cuda::trim();
  for (int i = 0; i < 4; ++i) recording.run(1.0, step);
  CHECK(emulator::inventory().all_graphs == before + 4);
  // What waits for the device is run as it is.
  const auto waits = [&] {
    step();
    to_host(x);
  };
  for (int i = 0; i < 4; ++i) recording.run(2.0, waits);
  CHECK(emulator::inventory().all_graphs == before + 4);
  cuda::detail::record_steps() = false;
  auto expected = to_device(gaussian<float>({9}));
  for (int i = 0; i < 12; ++i) add_scaled(expected, 1.0F, scale(expected, 2.0F));
  CHECK(same_bits(to_host(x), to_host(expected)));
  CHECK(emulator::inventory().misuse == std::vector<std::string>{});
}

TEST_CASE("cuda step: nothing of another thread is recorded, and what cannot begin runs as it is") {
  if (!emulator::present) LORU_SKIP("what a step asks for is counted on the emulator");
  const KeepBlocks keep;
  cuda::detail::record_steps() = true;
  auto x = to_device(gaussian<float>({9}));
  const auto step = [&] { add_scaled(x, 1.0F, scale(x, 2.0F)); };
  const auto graphs = [&](cuda::Recording& recording, int steps, const auto& f) {
    const auto before = emulator::inventory().all_graphs;
    for (int i = 0; i < steps; ++i) recording.run(1.0, f);
    return emulator::inventory().all_graphs - before;
  };
  {
    std::promise<void> used, done;
    std::thread other([&] {
      cuda::synchronize();
      used.set_value();
      done.get_future().wait();
    });
    used.get_future().wait();
    cuda::Recording shared, own;
    CHECK(graphs(shared, 4, step) == 0);
    const cuda::Stream stream;
    {
      const cuda::StreamScope scope(stream);
      CHECK(graphs(own, 4, step) == 2);
    }
    done.set_value();
    other.join();
    cuda::Recording alone;
    CHECK(graphs(alone, 4, step) == 2);
  }
  cuda::Recording outer, inner;
  CHECK(graphs(outer, 4, [&] { inner.run(1.0, step); }) == 2);
  cuda::Recording late;
  CHECK(graphs(late, 2, step) == 0);
  const cudaStream_t stream = cuda::current_stream();
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(graphs(late, 1, step) == 0);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  cuda::Recording throws;
  int calls = 0;
  const auto third = [&] {
    step();
    if (++calls == 3) throw std::runtime_error("a step's own");
  };
  CHECK_THROWS_WITH(graphs(throws, 3, third), "a step's own");
  CHECK_FALSE(cuda::detail::recording());
  cuda::detail::record_steps() = false;
  CHECK(emulator::inventory().misuse == std::vector<std::string>{});
}

TEST_CASE("cuda step: a loss that is not finite is found with its step, as on the host") {
  const data::Split set = data::synthetic({.classes = 3, .sample = {1, 4, 4}, .train = 24, .test = 3});
  const auto message = [&]<class D>(D) {
    auto model = nn::logistic<float, D>({.channels = 1, .height = 4, .width = 4, .classes = 3});
    try {
      train::fit(model, set.train, {.epochs = 2, .batch = 4, .optimizer = {.learning_rate = 3e38}});
    } catch (const DivergedError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const std::string here = message(Cpu{});
  CHECK_THAT(here, StartsWith("fit: the loss is "));
  CHECK(message(Cuda{}) == here);
}

TEST_CASE("cuda step: labels that are no classes are found where a model meets them") {
  data::Split set = data::synthetic({.classes = 3, .sample = {1, 4, 4}, .train = 8, .test = 3});
  set.train.labels()[5] = 3;
  auto model = nn::logistic<float, Cuda>({.channels = 1, .height = 4, .width = 4, .classes = 3});
  CHECK_THROWS_WITH(
      train::fit(model, set.train, {.batch = 8}),
      StartsWith("cross_entropy: label 3 of row ") && ContainsSubstring(" is outside the 3 classes"));
  set.train.classes = 4;  // a fourth class that the model does not know
  CHECK_THROWS_WITH(
      train::fit(model, set.train, {.batch = 8}),
      StartsWith("cross_entropy: label 3 of row ") && ContainsSubstring(" is outside the 3 classes"));
}
