// What the headers of this folder declare, compiled once.
#include <cstring>

#include <loru/data/partition/quantity.hpp>

#include "alike.hpp"
#include "mixed.hpp"
#include "three_clients.hpp"

namespace loru_test {

// ---- federation.hpp ----

const data::Split& small_data() {
  static const data::Split split = data::synthetic({.classes = 4, .train = 96, .test = 40});
  return split;
}

data::Partition small_parts(Index clients) {
  return data::quantity(small_data().train, {.clients = clients, .skew = 0.7});
}

double small_share(Index clients, Index client) {
  return static_cast<double>(small_parts(clients).size(client)) /
         static_cast<double>(small_data().train.size());
}

fl::ClientOptions momentum_client() {
  return {
      .epochs = 2, .batch = 5, .optimizer = {.learning_rate = 0.02, .momentum = 0.9, .weight_decay = 1e-3}};
}

std::size_t payload(const fl::Message& message) {
  std::uint64_t length = 0;
  std::memcpy(&length, message.data(), sizeof length);
  return message.size() - sizeof length - length;
}

LORU_TEST_MODELS(template, float)
LORU_TEST_MODELS(template, double)

// ---- alike.hpp ----

fl::Simulation<float> SixClients::simulated(const nn::Model<float>& start,
                                            const fl::AnyAlgorithm<float>& algorithm, Index threads) const {
  return {start,
          algorithm,
          small_data(),
          parts(),
          {.cohort = cohort,
           .client = momentum_client(),
           .ranks = ranks,
           .codecs = codecs,
           .seed = seed,
           .threads = threads,
           .eval_every = 0}};
}

fl::ServerOptions SixClients::server() const {
  return {.ranks = fl::ClientRanks(ranks, parts(), seed), .clients = clients, .codecs = codecs};
}

ThroughBytes::ThroughBytes(nn::Model<float> start, fl::AnyAlgorithm<float> a, const SixClients& o)
    : algorithm{a}, server{start, a, o.seed, o.server()}, devices(o.clients, start) {}

double ThroughBytes::round() {
  const auto parts = small_parts(SixClients::clients);
  uplink = downlink = 0;
  server.begin_round();
  for (const Index client :
       fl::sample_cohort(server.seed(), server.round(), SixClients::clients, SixClients::cohort)) {
    const auto at = static_cast<std::size_t>(client);
    const fl::Message down = server.broadcast(client);
    fl::Message up = fl::answer(devices[at], down, algorithm, small_data().train, parts.samples(client),
                                momentum_client(), states[at]);
    uplink += up.size();
    downlink += down.size();
    server.receive(std::move(up));
  }
  return server.finish_round();
}

fl::Message require_alike(const fl::AnyAlgorithm<float>& algorithm, const nn::Model<float>& start,
                          const SixClients& o, Index rounds) {
  auto one = o.simulated(start, algorithm, 1), three = o.simulated(start, algorithm, 3);
  ThroughBytes bytes(start, algorithm, o);
  for (Index i = 0; i < rounds; ++i) {
    const fl::Round a = one.run_round(false), b = three.run_round(false);
    REQUIRE(a.train_loss == b.train_loss);
    REQUIRE(a.train_loss == bytes.round());
    REQUIRE(a.uplink_bytes == bytes.uplink);
    REQUIRE(a.downlink_bytes == bytes.downlink);
    REQUIRE(bits(one.model()) == bits(three.model()));
    REQUIRE(bits(one.model()) == bits(bytes.server.model()));
    for (Index k = 0; k < o.clients; ++k) {
      const auto kept = one.store().load(k), again = three.store().load(k);
      const io::Archive& own = bytes.states[static_cast<std::size_t>(k)];
      REQUIRE(kept.has_value() == (own.size() > 0));
      REQUIRE(again.has_value() == kept.has_value());
      if (!kept) continue;
      REQUIRE(io::serialise(*kept) == io::serialise(own));
      REQUIRE(io::serialise(*kept) == io::serialise(*again));
    }
  }
  const auto personal = one.personal_accuracy({.images = 10});
  REQUIRE(personal.clients == o.clients);
  REQUIRE(personal.mean == three.personal_accuracy({.images = 10}).mean);
  REQUIRE(one.evaluate().loss == three.evaluate().loss);
  return bits(one.model());
}

nn::Model<float> start_of(const fl::AnyAlgorithm<float>& algorithm, Index rank) {
  auto model = small_model<float>();
  algorithm.parametrise(model, {.rank = rank, .alpha = 3.0});
  return model;
}

// ---- mixed.hpp ----

template <class T>
Mixed<T>::Mixed(nn::Model<T> start, fl::AnyAlgorithm<T> a, Ranks budgets, fl::ServerOptimizer o)
    : algorithm{a},
      server{start, a, seed, {.ranks = fl::ClientRanks(std::move(budgets)), .optimizer = o}},
      devices(3, start) {
  for (Index k = 0; k < 3; ++k) shares.push_back(small_share(3, k));
}

template <class T>
void Mixed<T>::round() {
  const auto parts = small_parts(3);
  server.begin_round();
  for (Index k = 0; k < 3; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const fl::Message broadcast = server.broadcast(k);
    server.receive(fl::answer(devices[at], broadcast, algorithm, small_data().train, parts.samples(k),
                              momentum_client()));
  }
  server.finish_round();
}

template <class T>
nn::Model<T> rank_four(std::string_view name) {
  auto model = small_model<T>(name);
  lowrank::factorize(model, {.rank = 4, .alpha = 3.0, .small_layers = lowrank::SmallLayers::factor});
  return model;
}

template struct Mixed<float>;
template struct Mixed<double>;
template nn::Model<float> rank_four<float>(std::string_view);
template nn::Model<double> rank_four<double>(std::string_view);

// ---- three_clients.hpp ----

template <class T>
OneRound<T>::OneRound(nn::Model<T> start, fl::AnyAlgorithm<T> algorithm, Index rounds)
    : OneRound(fl::Server<T>(start, algorithm, seed, {.clients = clients}), start, rounds) {}

template <class T>
OneRound<T>::OneRound(fl::Server<T> first, nn::Model<T> start, Index rounds)
    : server{std::move(first)}, devices(clients, start) {
  const auto parts = small_parts(clients);
  for (Index round = 0; round < rounds; ++round) {
    up.clear();
    server.begin_round();
    for (Index k = 0; k < clients; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const fl::Message broadcast = server.broadcast(k);
      fl::Message update = fl::answer(devices[at], broadcast, server.algorithm(), small_data().train,
                                      parts.samples(k), momentum_client(), states[at]);
      up.push_back(payload(update));
      server.receive(std::move(update));
    }
    server.finish_round();
  }
  for (Index k = 0; k < clients; ++k) shares.push_back(small_share(clients, k));
}

template <class T>
std::map<std::string, Tensor<T>> exact_weights(OneRound<T>& run, std::map<std::string, Tensor<T>> w) {
  for (std::size_t k = 0; k < run.devices.size(); ++k)
    lowrank::for_each_weight<nn::Factored>(run.devices[k], [&](const std::string& layer, nn::Factored<T>& f) {
      w[layer] = lowrank_compose(w.at(layer), f.a().value(), f.b().value(), run.shares[k] * f.scale());
    });
  return w;
}

template <class T>
void require_close(const std::map<std::string, Tensor<T>>& got,
                   const std::map<std::string, Tensor<T>>& expected, double error) {
  REQUIRE(got.size() == expected.size());
  REQUIRE(!got.empty());
  for (const auto& [layer, w] : expected) {
    INFO(layer);
    CHECK(difference(got.at(layer), w) < error);
  }
}

template <class T>
Federation<T>::Federation(nn::Model<T> start, fl::AnyAlgorithm<T> a, fl::ClientOptions o)
    : algorithm{a}, options{o}, server{start, a, seed, {.clients = clients}}, devices(clients, start) {}

template <class T>
void Federation<T>::round() {
  up.clear();
  down.clear();
  server.begin_round();
  for (Index k = 0; k < clients; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const fl::Message broadcast = server.broadcast(k);
    fl::Message update = fl::answer(devices[at], broadcast, algorithm, small_data().train, parts.samples(k),
                                    options, states[at]);
    down.push_back(payload(broadcast));
    up.push_back(payload(update));
    server.receive(std::move(update));
  }
  server.finish_round();
}

LORU_TEST_THREE_CLIENTS(template, float)
LORU_TEST_THREE_CLIENTS(template, double)

}  // namespace loru_test
