// FedMomentum: the exact mean, of which the best rank-r part stays as factors and the rest joins the weight.
#include "mixed.hpp"
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// Σ p_k·W_k − W of every factored layer, W being the frozen weight that all clients had in the last round.
std::map<std::string, Tensor<double>> mean_updates(OneRound<double>& run) {
  auto updates = mean_weights(run);
  for (const auto& [layer, w] : frozen_weights(run.devices[0])) add_scaled(updates.at(layer), -1.0, w);
  return updates;
}

double squared(const Tensor<double>& x) { return std::pow(linalg::norm(x), 2); }

/// The server's effective weight minus what every client had frozen: what stays of the mean.
Tensor<double> kept(OneRound<double>& run, const std::string& layer) {
  Tensor<double> update = clone(lowrank::effective_weights(run.server.model()).at(layer));
  add_scaled(update, -1.0, frozen_weights(run.devices[0]).at(layer));
  return update;
}

}  // namespace

TEST_CASE("fedmomentum: the effective weight is the mean of the clients', round after round") {
  const std::string name = GENERATE("mlp", "resnet10");
  const Index rounds = GENERATE(1, 2, 3);
  OneRound<double> run(small_factored<double>(name), fl::FedMomentum{}, rounds);
  require_close(lowrank::effective_weights(run.server.model()), mean_weights(run), 1e-12);
  CHECK(run.server.merges() == rounds);
}

TEST_CASE("fedmomentum: s·B·A is the best rank-r part of the mean, W gets the rest") {
  auto start = small_factored<double>(GENERATE("mlp", "resnet10"));
  OneRound<double> run(start, fl::FedMomentum{}, 2);
  const auto updates = mean_updates(run);
  const auto before = frozen_weights(run.devices[0]), after = frozen_weights(run.server.model());
  lowrank::for_each_weight<nn::Factored>(
      run.server.model(), [&](const std::string& layer, nn::Factored<double>& f) {
        INFO(layer);
        const auto best = lowrank::svd_factors(updates.at(layer), f.rank(), f.scale());
        const auto zero = to_layout(nn::constant<double>(f.shape(), 0.0), f.base().value().layout());
        const auto part = lowrank_compose(zero, f.a().value(), f.b().value(), f.scale());
        CHECK(difference(part, lowrank_compose(zero, best.a, best.b, f.scale())) < 1e-9);
        Tensor<double> merged = clone(after.at(layer)), rest = clone(updates.at(layer));
        add_scaled(merged, -1.0, before.at(layer));
        add_scaled(rest, -1.0, part);
        CHECK(linalg::norm(rest) > 1e-6);
        CHECK(difference(merged, rest) < 1e-9);
        // √(Σ / s) on either side.
        const Index r = f.rank(), n = f.a().value().size() / r, m = f.shape()[0];
        for (Index k = 0; k < r; ++k) {
          double row = 0.0, column = 0.0;
          for (Index j = 0; j < n; ++j) row += std::pow(f.a().value().data()[k * n + j], 2);
          for (Index i = 0; i < m; ++i) column += std::pow(f.b().value().data()[i * r + k], 2);
          CHECK(row == Approx(column).epsilon(1e-9));
        }
      });
}

TEST_CASE("fedmomentum: the share of energy decides how much of the residual joins W") {
  auto start = small_factored<double>();
  OneRound<double> none(start, fl::FedMomentum{.energy = 0.0}), flex(start, fl::FlexLoRA{});
  CHECK(none.server.merges() == 0);
  CHECK(bits(none.server.model()) == bits(flex.server.model()));  // without a residual it is FlexLoRA
  const auto spectrum = linalg::singular_values(
      lowrank::update_matrix(mean_updates(none).at("fc2"), nn::constant<double>({256, 256}, 0.0)));
  double total = 0.0;
  for (const double value : spectrum) total += value * value;
  // The mean of three clients has six directions; two of them are the factors.
  for (std::size_t count = 3; count <= 5; ++count) {
    double staying = 0.0;
    for (std::size_t i = 0; i < count; ++i) staying += spectrum[i] * spectrum[i];
    // A share just below the sum of `count` squares asks for `count` directions.
    OneRound<double> run(start, fl::FedMomentum{.energy = staying / total - 1e-9});
    const Tensor<double> update = kept(run, "fc2");
    CHECK(lowrank::update_rank(update, nn::constant<double>({256, 256}, 0.0)) == static_cast<Index>(count));
    CHECK(squared(update) == Approx(staying).epsilon(1e-6));
  }
  CHECK(message_of<ConfigError>([] { fl::AnyAlgorithm<double>(fl::FedMomentum{.energy = 1.5}); }) ==
        "fedmomentum: energy: expected a number in [0, 1], got 1.5");
}

TEST_CASE("fedmomentum: bytes") {
  auto start = small_factored<float>(GENERATE("mlp", "resnet10"));
  Federation<float> federation(start, fl::FedMomentum{});
  std::size_t residual = 0;  // of rank K·r − r, or W where that is cheaper
  lowrank::for_each_weight<nn::Factored>(start, [&](const std::string&, nn::Factored<float>& f) {
    const Index size = f.base().value().size(), m = f.shape()[0], n = size / m;
    const Index rank = std::max<Index>(std::min({clients * f.rank(), m, n}) - f.rank(), 1);
    residual += sizeof(float) * static_cast<std::size_t>(std::min(size, rank * (m + n)));
  });
  federation.round();
  const std::size_t state = chosen_bytes(start, {});
  CHECK(federation.up == std::vector<std::size_t>(clients, state));
  CHECK(federation.down == std::vector<std::size_t>(clients, state));
  federation.round();
  CHECK(federation.up == std::vector<std::size_t>(clients, state));
  CHECK(federation.down == std::vector<std::size_t>(clients, state + residual));
}

TEST_CASE("fedmomentum: a client that slept through merges comes to the server's weights") {
  auto start = small_factored<float>(GENERATE("mlp", "resnet10"));
  const fl::AnyAlgorithm<float> algorithm(fl::FedMomentum{});
  fl::Server<float> server(start, algorithm, seed, {.clients = clients});
  std::vector<nn::Model<float>> devices(clients, start);
  const auto parts = small_parts(clients);
  for (Index round = 1; round <= 4; ++round) {
    server.begin_round();
    for (Index k = 0; k < clients; ++k) {
      if (k == 2 && (round == 2 || round == 3)) continue;
      const auto at = static_cast<std::size_t>(k);
      auto up = fl::answer(devices[at], server.broadcast(k), algorithm, small_data().train, parts.samples(k),
                           momentum_client());
      require_same_weights(devices[at], server.model());
      server.receive(std::move(up));
    }
    server.finish_round();
  }
  CHECK(server.merges() == 4);
}

TEST_CASE("fedmomentum under a server optimizer moves the effective weight") {
  auto start = small_factored<double>();
  fl::Server<double> first(start, fl::FedMomentum{}, seed,
                           {.clients = clients, .optimizer = {.learning_rate = 0.5}});
  OneRound<double> run(std::move(first), start, 2);
  // In the second round all clients began at W + s·B·A of the first.
  fl::Server<double> same(start, fl::FedMomentum{}, seed,
                          {.clients = clients, .optimizer = {.learning_rate = 0.5}});
  OneRound<double> earlier(std::move(same), start, 1);
  auto half = lowrank::effective_weights(earlier.server.model());
  for (auto& [layer, w] : half) {
    w = clone(w);
    for (double& x : w.span()) x *= 0.5;
    add_scaled(w, 0.5, mean_weights(run).at(layer));
  }
  require_close(lowrank::effective_weights(run.server.model()), half, 1e-9);
  CHECK(run.server.merges() == 2);
}

TEST_CASE("fedmomentum: clients of lower ranks count as they are") {
  Mixed<double> run(rank_four<double>(GENERATE("mlp", "resnet10")), fl::FedMomentum{});
  for (int round = 0; round < 2; ++round) {
    run.round();
    auto mean = lowrank::effective_weights(run.devices[0]);
    for (auto& [layer, w] : mean) {
      w = to_layout(nn::constant<double>(w.shape(), 0.0), w.layout());
      for (std::size_t k = 0; k < run.devices.size(); ++k)
        add_scaled(w, run.shares[k], lowrank::effective_weights(run.devices[k]).at(layer));
    }
    require_close(lowrank::effective_weights(run.server.model()), mean, 1e-9);
  }
}
