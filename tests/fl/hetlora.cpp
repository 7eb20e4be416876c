// Zero-padded means of factors of different ranks, weighted by norms, and clients that prune themselves.
#include "mixed.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// The tail's regulariser as a number: ‖B[:, q:]‖·‖A[q:, :]‖.
double tail_product(const Tensor<double>& a, const Tensor<double>& b, Index q) {
  const Index r = b.dim(1), n = a.size() / r;
  double sum_a = 0.0, sum_b = 0.0;
  for (Index k = q; k < r; ++k) {
    for (Index j = 0; j < n; ++j) sum_a += a.data()[k * n + j] * a.data()[k * n + j];
    for (Index i = 0; i < b.dim(0); ++i) sum_b += b.data()[i * r + k] * b.data()[i * r + k];
  }
  return std::sqrt(sum_a) * std::sqrt(sum_b);
}

}  // namespace

TEST_CASE("hetlora: the mean of padded factors, by the norms of their products") {
  auto start = rank_four<double>(GENERATE("mlp", "resnet10"));
  Mixed<double> run(start, fl::HetLoRA{});
  run.round();
  lowrank::for_each_weight<nn::Factored>(run.server.model(), [&](const std::string& layer,
                                                                 nn::Factored<double>& got) {
    INFO(layer);
    std::vector<lowrank::Factors<double>> own;
    std::vector<double> norms;
    for (auto& device : run.devices)
      lowrank::for_each_weight<nn::Factored>(device, [&](const std::string& name, nn::Factored<double>& f) {
        if (name != layer) return;
        own.push_back({f.a().value(), f.b().value()});
        const auto zero = nn::constant<double>(f.shape(), 0.0);
        norms.push_back(linalg::norm(
            lowrank_compose(to_layout(zero, f.a().value().layout()), f.a().value(), f.b().value(), 1.0)));
      });
    REQUIRE(own.size() == 3);
    const double sum = norms[0] + norms[1] + norms[2];
    CHECK(norms[0] / sum != Approx(run.shares[0]).epsilon(1e-6));  // not by samples
    const Index n = got.a().value().size() / 4, m = got.shape()[0];
    for (Index k = 0; k < 4; ++k) {
      for (Index j = 0; j < n; ++j) {
        double mean = 0.0;
        for (std::size_t c = 0; c < 3; ++c)
          if (k < own[c].a.dim(0)) mean += norms[c] / sum * own[c].a.data()[k * n + j];
        REQUIRE(got.a().value().data()[k * n + j] == Approx(mean).epsilon(1e-10).margin(1e-13));
      }
      for (Index i = 0; i < m; ++i) {
        double mean = 0.0;
        for (std::size_t c = 0; c < 3; ++c)
          if (k < own[c].a.dim(0)) mean += norms[c] / sum * own[c].b.data()[i * own[c].b.dim(1) + k];
        REQUIRE(got.b().value().data()[i * 4 + k] == Approx(mean).epsilon(1e-10).margin(1e-13));
      }
    }
  });
}

TEST_CASE("hetlora: equal ranks, norms and samples give fedlora's mean") {
  const auto start = rank_four<double>();
  const auto folded = [&](const fl::AnyAlgorithm<double>& algorithm) {
    fl::Server<double> server(start, algorithm, 5);
    server.begin_round();
    for (Index client = 0; client < 3; ++client) {
      auto device = start;
      server.broadcast(client);
      lowrank::for_each_weight<nn::Factored>(device, [&](const std::string&, nn::Factored<double>& f) {
        // The product of the factors with rows and columns turned round has the same norm.
        const auto b = gaussian(f.b().shape(), 3);
        auto turned = clone(b);
        const Index m = b.dim(0), r = b.dim(1);
        for (Index i = 0; i < m; ++i) std::copy_n(b.data() + (i + client) % m * r, r, turned.data() + i * r);
        f.b().set_value(turned);
      });
      server.receive(fl::update_message(device, {5, 1, client}, 7, 1.0));
    }
    server.finish_round();
    return server.model();
  };
  auto het = folded(fl::HetLoRA{}), mean = folded(fl::FedLoRA{});
  const auto got = het.parameters(), expected = mean.parameters();
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO(got[i].name);
    CHECK(difference(got[i].value.value(), expected[i].value.value()) < 1e-14);
  }
}

TEST_CASE("hetlora: the regulariser's gradient") {
  const bool convolution = GENERATE(false, true);
  const Shape shape = convolution ? Shape{4, 3, 2, 2} : Shape{4, 6};
  Tensor<double> a = gaussian(shape, 1, convolution ? Layout::channels_last : Layout::row_major),
                 b = gaussian({5, 4}, 2);
  const lowrank::Tail<double> tail{Variable<double>(clone(a), true), Variable<double>(clone(b), true), 2};
  CHECK(tail.norm() == Approx(tail_product(a, b, 2)).epsilon(1e-12));
  tail.add_gradient(0.3);
  tail.add_gradient(0.3);  // adds
  const auto check = [&](Tensor<double>& of, const Tensor<double>& gradient) {
    for (Index i = 0; i < of.size(); ++i) {
      const double kept = of.data()[i], h = 1e-6;
      of.data()[i] = kept + h;
      const double up = tail_product(a, b, 2);
      of.data()[i] = kept - h;
      const double down = tail_product(a, b, 2);
      of.data()[i] = kept;
      REQUIRE(gradient.data()[i] == Approx(0.6 * (up - down) / (2 * h)).margin(1e-8));
    }
  };
  check(a, tail.a.gradient());
  check(b, tail.b.gradient());
  CHECK(tail.head().a.dim(0) == 2);
  const lowrank::Tail<double> zero{tail.a, Variable<double>(nn::constant<double>({5, 4}, 0.0), true), 2};
  zero.add_gradient(1.0);
  CHECK_FALSE(zero.b.gradient());
}

TEST_CASE("hetlora: clients prune themselves for good, where their last directions shrank") {
  Mixed<double> run(rank_four<double>(), fl::HetLoRA{.gamma = 0.5, .lambda = 5.0}, {4, 4, 2});
  run.round();  // B begins at zero: nothing can shrink
  CHECK(run.server.ranks(0) == Ranks{4});
  CHECK(run.server.ranks(2) == Ranks{2});
  for (int i = 0; i < 4; ++i) run.round();
  CHECK(run.server.ranks(0)[0] < 4);
  CHECK(run.server.ranks(2) == Ranks{1});
  run.server.begin_round();
  const fl::Message message = run.server.broadcast(2);
  CHECK(io::borrow(message, "broadcast").raw("fc2.lora_A.weight").shape[0] == 1);
  // A client may not answer with more than it was sent.
  lowrank::set_ranks(run.devices[2], Ranks{2});
  CHECK_THAT(message_of<DataError>([&] {
               run.server.receive(fl::update_message(run.devices[2], {5, run.server.round(), 2}, 5, 1.0));
             }),
             StartsWith("server: update of client 2: fc2.lora_A.weight: expected F64 (1, "));
}

TEST_CASE("hetlora: a round that fails keeps no ranks that its clients pruned themselves to") {
  Mixed<double> run(rank_four<double>(), fl::HetLoRA{.gamma = 0.5, .lambda = 5.0}, {4, 4, 2});
  for (int i = 0; i < 20 && run.server.ranks(0) == Ranks{4}; ++i) {
    auto before = run.server;
    run.round();
    if (run.server.ranks(0) == Ranks{4}) continue;
    // The round in which client 0 prunes itself, once more, with a weight that is not finite when it ends.
    lowrank::for_each_weight<nn::Factored>(before.model(), [](auto&, nn::Factored<double>& f) {
      f.base().set_value(nn::constant<double>(f.shape(), std::numeric_limits<double>::infinity()));
    });
    before.begin_round();
    for (Index k = 0; k < 3; ++k) before.broadcast(k);
    for (Index k = 0; k < 3; ++k) {
      auto client = run.devices[static_cast<std::size_t>(k)];
      lowrank::set_ranks(client, Ranks(1, std::min<Index>(2, run.server.ranks(k)[0])));
      before.receive(fl::update_message(client, {5, before.round(), k}, 5, 1.0));
    }
    CHECK_THROWS_AS(before.finish_round(), DivergedError);
    CHECK(before.ranks(0) == Ranks{4});
    return;
  }
  FAIL("no client pruned itself");
}
