// FedProx: mu, and its limits.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("fedprox: mu = 0 is FedAvg bit for bit, else every gradient gets mu·(x − x_global)") {
  const double mu = GENERATE(0.0, 0.5);
  OneRound<double> prox(small_model<double>(), fl::FedProx{.mu = mu}),
      avg(small_model<double>(), fl::FedAvg{});
  CHECK((bits(prox.server.model()) == bits(avg.server.model())) == (mu == 0.0));
  OneRound<double> nearly(small_model<double>(), fl::FedProx{.mu = 1e-300});  // too small to show
  CHECK(bits(nearly.server.model()) == bits(avg.server.model()));
  // Two steps of plain descent on all samples at once: x_2 = x_1 − η·(g(x_1) + mu·(x_1 − x_0)).
  const auto part = small_parts(1).samples(0);
  const fl::ClientOptions options{.epochs = 2, .batch = 1000, .optimizer = {.learning_rate = 0.1}};
  auto trained = small_model<double>(), plain = small_model<double>(), start = small_model<double>();
  const fl::FedProx algorithm{.mu = mu};
  io::Archive state;
  algorithm.train(
      fl::Turn<double>{trained, small_data().train, part, options, {seed, 1, 0}, state, state, state});
  const auto batch = data::gather<double>(small_data().train, part);
  for (int step = 0; step < 2; ++step) {
    auto parameters = plain.parameters(), first = start.parameters();
    for (auto& p : parameters) p.value.clear_gradient();
    cross_entropy(plain(Variable<double>(batch.inputs), nn::Pass::train()), batch.labels).backward();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Tensor<double> x = clone(parameters[i].value.value());
      add_scaled(x, -0.1, parameters[i].value.gradient());
      add_scaled(x, -0.1 * mu, parameters[i].value.value());
      add_scaled(x, 0.1 * mu, first[i].value.value());
      parameters[i].value.set_value(x);
    }
  }
  auto got = trained.parameters(), expected = plain.parameters();
  for (std::size_t i = 0; i < got.size(); ++i)
    CHECK(difference(got[i].value.value(), expected[i].value.value()) < 1e-10);
}

TEST_CASE("fedprox with low-rank layers and mu = 0 is fedlora bit for bit") {
  Federation<float> prox(small_factored<float>(), fl::FedProx{.mu = 0.0, .low_rank = true}),
      lora(small_factored<float>(), fl::FedLoRA{});
  prox.round();
  lora.round();
  CHECK(bits(prox.server.model()) == bits(lora.server.model()));
  CHECK_THAT(message_of<ConfigError>(
                 [] { fl::Server<float>(small_model<float>(), fl::FedProx{.low_rank = true}, 1); }),
             StartsWith("fedprox: expected a model with layers factored for it"));
}
