// What a round costs the server itself, for each client of the cohort and for each byte of its update, on one
// thread: the work that more nodes do not take off it. Prints one line of JSON.

#include <algorithm>
#include <chrono>
#include <iostream>

#include <nlohmann/json.hpp>

#include <loru/loru.hpp>

namespace {

using namespace loru;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> all) {
  std::ranges::nth_element(all, all.begin() + std::ssize(all) / 2);
  return all[all.size() / 2];
}

/// Times are medians over rounds, in seconds.
struct Cost {
  std::string model;
  std::size_t bytes = 0;              // of an update
  Index numbers = 0;                  // of its tensors
  double offer = 0.0, receive = 0.0;  // for a client
  double finish = 0.0;                // of a round: means, the new state
  double join = 0.0;                  // adding one partial sum
};

/// Rounds of `clients` whose answers all carry the same numbers; training is not there.
Cost measure(const std::string& name, nn::Model<float> model, const fl::AnyAlgorithm<float>& algorithm,
             Index clients, Index rounds) {
  Cost cost{.model = name};
  fl::Server<float> server(model, algorithm, 1, {.clients = clients});
  std::vector<double> offer, receive, finish, join;
  for (Index round = 0; round <= rounds; ++round) {
    server.begin_round();
    auto start = Clock::now();
    for (Index k = 0; k < clients; ++k) {
      io::serialised_size(server.offer(k));
      server.shared_broadcast(k);
    }
    offer.push_back(seconds_since(start) / static_cast<double>(clients));
    std::vector<fl::Message> answers;
    for (Index k = 0; k < clients; ++k)
      answers.push_back(fl::update_message(server.model(), {1, server.round(), k}, 1 + k, 1.0));
    cost.bytes = answers[0].size();
    start = Clock::now();
    for (fl::Message& answer : answers) server.receive(std::move(answer));
    receive.push_back(seconds_since(start) / static_cast<double>(clients));
    start = Clock::now();
    server.finish_round();
    finish.push_back(seconds_since(start));
  }
  fl::Average<float> whole, part;
  const fl::Update update = fl::read_update(fl::update_message(server.model(), {1, 1, 0}, 1, 1.0));
  for (const auto& [tensor, raw] : update.state.tensors()) cost.numbers += raw.shape.size();
  whole.add(update);
  part.add(update);
  for (Index i = 0; i <= rounds; ++i) {
    auto copy = part;
    const auto start = Clock::now();
    whole.add(std::move(copy));
    join.push_back(seconds_since(start));
  }
  // The first round also touches memory for the first time.
  for (auto* all : {&offer, &receive, &finish, &join}) all->erase(all->begin());
  cost.offer = median(offer);
  cost.receive = median(receive);
  cost.finish = median(finish);
  cost.join = median(join);
  return cost;
}

nn::Model<float> dense(const std::string& name, Index side, Index channels) {
  return nn::build<float>(name, {.channels = channels, .height = side, .width = side, .classes = 10});
}

nn::Model<float> factored(const std::string& name, Index side, Index channels, Index rank,
                          const std::vector<std::string>& layers) {
  auto model = dense(name, side, channels);
  lowrank::factorize(model, {.rank = rank, .layers = layers, .small_layers = lowrank::SmallLayers::factor});
  return model;
}

}  // namespace

int main() {
  const std::vector<Cost> costs{
      measure("mlp, r = 8", factored("mlp", 28, 1, 8, {"fc1", "fc2"}), fl::FedLoRA{}, 400, 5),
      measure("cnn, r = 16", factored("cnn", 28, 1, 16, {"*"}), fl::FedLoRA{}, 200, 5),
      measure("cnn, dense", dense("cnn", 28, 1), fl::FedAvg{}, 50, 5),
      measure("resnet18, r = 32", factored("resnet18", 32, 3, 32, {"layer*"}), fl::FedLoRA{}, 50, 5),
      measure("resnet18, dense", dense("resnet18", 32, 3), fl::FedAvg{}, 10, 5),
  };
  nlohmann::json out = nlohmann::json::array();
  for (const Cost& c : costs)
    out.push_back({{"model", c.model},
                   {"update_bytes", c.bytes},
                   {"numbers", c.numbers},
                   {"offer_us", 1e6 * c.offer},
                   {"receive_us", 1e6 * c.receive},
                   {"finish_ms", 1e3 * c.finish},
                   {"join_ms", 1e3 * c.join}});
  std::cout << nlohmann::json{{"version", version}, {"server", out}}.dump() << '\n';
}
