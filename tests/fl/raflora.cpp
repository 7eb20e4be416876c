// raFLoRA: means by partitions of the rank.
#include <set>

#include "mixed.hpp"
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

namespace {

constexpr Index rank = 8;

/// fc2 with factors of rank 8 that are not zero.
nn::Model<double> rank_eight() {
  auto model = small_model<double>();
  lowrank::factorize(model, {.rank = rank, .alpha = 6.0});
  lowrank::for_each_weight<nn::Factored>(model, [](const std::string&, nn::Factored<double>& f) {
    const auto best =
        lowrank::svd_factors(lowrank_compose(nn::constant<double>(f.shape(), 0.0), gaussian(f.a().shape(), 1),
                                             gaussian(f.b().shape(), 2), f.scale()),
                             rank, f.scale());
    f.set_factors(best.a, best.b);
  });
  return model;
}

nn::Factored<double>& fc2(nn::Model<double>& model) {
  nn::Factored<double>* found = nullptr;
  lowrank::for_each_weight<nn::Factored>(model, [&](auto&, nn::Factored<double>& f) { found = &f; });
  return *found;
}

Tensor<double> product(nn::Factored<double>& f) {
  return lowrank_compose(nn::constant<double>(f.shape(), 0.0), f.a().value(), f.b().value(), f.scale());
}

/// A server for clients of ranks 2, 4 and 8 with these samples, and a round in which some of them answer with
/// the factors change(model, client).
struct ByHand {
  fl::Server<double> server;
  std::vector<Index> samples{5, 3, 2};

  explicit ByHand(fl::AnyAlgorithm<double> algorithm)
      : server{rank_eight(), std::move(algorithm), seed, {.ranks = fl::ClientRanks(Ranks{2, 4, 8})}} {}

  template <class F>
  void round(const std::vector<Index>& cohort, F change) {
    server.begin_round();
    for (const Index client : cohort) {
      auto model = server.model();
      const auto own = server.ranks(client);
      const fl::Message broadcast = server.broadcast(client);
      lowrank::set_ranks(model, own);
      fl::load_broadcast(model, io::borrow(broadcast), server.algorithm());
      change(fc2(model), client);
      server.receive(fl::update_message(model, {seed, server.round(), client},
                                        samples[static_cast<std::size_t>(client)], 1.0));
    }
    server.finish_round();
  }
};

const auto unchanged = [](nn::Factored<double>&, Index) {};

}  // namespace

TEST_CASE("raflora: each partition of the rank is the mean of the clients that have it") {
  ByHand run(fl::RaFLoRA{});
  std::vector<Tensor<double>> a, b;
  std::vector<double> s;
  run.round({0, 1, 2}, [&](nn::Factored<double>& f, Index client) {
    const auto number = static_cast<std::uint64_t>(client);
    f.set_factors(gaussian(f.a().shape(), 10 + number), gaussian(f.b().shape(), 20 + number));
    a.push_back(f.a().value());
    b.push_back(f.b().value());
    s.push_back(f.scale());
  });
  CHECK(s == std::vector<double>{3.0, 1.5, 0.75});
  // Directions 0, 1: all three; 2, 3: those of rank 4 and 8; 4 to 7: that of rank 8.
  const auto weight = [](std::size_t client, Index direction) {
    if (direction < 2) return std::vector{0.5, 0.3, 0.2}[client];
    if (direction < 4) return std::vector{0.0, 0.6, 0.4}[client];
    return std::vector{0.0, 0.0, 1.0}[client];
  };
  const Index m = 256, n = 256;
  Tensor<double> mean = nn::constant<double>({m, n}, 0.0);
  for (std::size_t k = 0; k < 3; ++k)
    for (Index d = 0; d < a[k].dim(0); ++d)
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j)
          mean.data()[i * n + j] +=
              weight(k, d) * s[k] * b[k].data()[i * a[k].dim(0) + d] * a[k].data()[d * n + j];
  auto& f = fc2(run.server.model());
  const auto best = lowrank::svd_factors(mean, rank, f.scale());
  CHECK(difference(product(f),
                   lowrank_compose(nn::constant<double>({m, n}, 0.0), best.a, best.b, f.scale())) < 1e-9);
}

TEST_CASE("raflora: factors that nobody changes stay, flexlora's collapse to the smallest rank") {
  ByHand partitions(fl::RaFLoRA{}), whole(fl::FlexLoRA{});
  const Tensor<double> before = product(fc2(partitions.server.model()));
  const auto values = [](ByHand& run) { return linalg::singular_values(product(fc2(run.server.model()))); };
  const auto start = values(partitions);
  for (int round = 0; round < 4; ++round) {
    partitions.round({0, 1, 2}, unchanged);
    whole.round({0, 1, 2}, unchanged);
  }
  CHECK(difference(product(fc2(partitions.server.model())), before) < 1e-9);
  const auto left = values(whole);
  for (std::size_t i = 0; i < 8; ++i) {
    const double share = i < 2 ? 1.0 : i < 4 ? 0.5 : 0.2;  // of the samples
    CHECK(left[i] == Approx(std::pow(share, 4) * start[i]).epsilon(1e-6));
  }
}

TEST_CASE("raflora: directions that no client of the cohort has stay the server's") {
  ByHand run(fl::RaFLoRA{});
  const Tensor<double> before = product(fc2(run.server.model()));
  run.round({0, 1}, unchanged);
  run.round({0}, unchanged);
  CHECK(difference(product(fc2(run.server.model())), before) < 1e-9);
  auto& f = fc2(run.server.model());
  const lowrank::Factors<double> own{f.a().value(), f.b().value()};
  const auto rest = lowrank::directions(own, 2, 8);
  Tensor<double> a, b;
  run.round({0}, [&](nn::Factored<double>& g, Index) {
    a = gaussian(g.a().shape(), 31);
    b = gaussian(g.b().shape(), 32);
    g.set_factors(a, b);
  });
  const auto kept = lowrank_compose(nn::constant<double>({256, 256}, 0.0), rest.a, rest.b, 0.75);
  CHECK(difference(product(fc2(run.server.model())), lowrank_compose(kept, a, b, 3.0)) < 1e-9);
}

TEST_CASE("raflora of clients of one rank is flexlora bit for bit") {
  auto start = small_factored<double>(GENERATE("mlp", "resnet10"));
  OneRound<double> partitions(start, fl::RaFLoRA{}, 2), whole(start, fl::FlexLoRA{}, 2);
  CHECK(bits(partitions.server.model()) == bits(whole.server.model()));
  CHECK(partitions.server.merges() == 0);
}

TEST_CASE("raflora under a server optimizer: half a step is half the change of s·B·A") {
  const auto server = [](double rate) {
    return fl::Server<double>(
        rank_four<double>(), fl::RaFLoRA{}, seed,
        {.ranks = fl::ClientRanks(Ranks{1, 2, 4}), .optimizer = {.learning_rate = rate}});
  };
  const auto update = [](fl::Server<double>& s) {
    Tensor<double> u = clone(lowrank::effective_weights(s.model()).at("fc2"));
    add_scaled(u, -1.0, frozen_weights(s.model()).at("fc2"));
    return u;
  };
  OneRound<double> full(server(1.0), rank_four<double>(), 1), half(server(0.5), rank_four<double>(), 1);
  Tensor<double> whole = update(full.server);  // of rank 4: three clients' directions are more than that
  const Tensor<double> got = update(half.server);
  for (double& x : whole.span()) x *= 0.5;
  CHECK(difference(got, whole) < 1e-6);
}

TEST_CASE("raflora: client k sends and gets D + Σ r_k·(m + n) numbers") {
  Mixed<float> run(rank_four<float>(GENERATE("mlp", "resnet10")), fl::RaFLoRA{});
  const auto parts = small_parts(3);
  for (int round = 0; round < 2; ++round) {
    run.server.begin_round();
    for (Index k = 0; k < 3; ++k) {
      const auto at = static_cast<std::size_t>(k);
      std::size_t expected = chosen_bytes(run.server.model(), fl::not_factor);
      lowrank::for_each_weight<nn::Factored>(run.server.model(), [&](auto&, nn::Factored<float>& f) {
        const Index m = f.shape()[0], n = f.base().value().size() / m,
                    own = std::min(f.rank(), Ranks{1, 2, 4}[at]);
        expected += sizeof(float) * static_cast<std::size_t>(own * (m + n));
      });
      const fl::Message down = run.server.broadcast(k);
      fl::Message up = fl::answer(run.devices[at], down, run.algorithm, small_data().train, parts.samples(k),
                                  momentum_client());
      CHECK(payload(down) == expected);
      CHECK(payload(up) == expected);
      run.server.receive(std::move(up));
    }
    run.server.finish_round();
  }
}
