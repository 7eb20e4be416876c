// FlexLoRA: products averaged whole, and factored again.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("flexlora averages the products exactly where the rank is at least that of their sum") {
  auto start = small_model<double>();
  lowrank::factorize(start, {.rank = 12, .alpha = 18.0});
  lowrank::for_each_weight<nn::Factored>(start, [&](const std::string&, nn::Factored<double>& f) {
    auto a = gaussian(f.a().shape());
    std::fill(a.data() + 2 * a.dim(1), a.data() + a.size(), 0.0);
    f.a().set_value(a);  // rows of A beyond two are zero, and so are B's columns: neither gets a gradient
  });
  OneRound<double> run(start, fl::FlexLoRA{});
  require_close(lowrank::effective_weights(run.server.model()), exact_weights(run, frozen_weights(start)),
                1e-12);
}

TEST_CASE("flexlora keeps the best part of the mean product") {
  auto start = small_factored<double>();
  const auto w = frozen_weights(start);
  OneRound<double> run(start, fl::FlexLoRA{});
  const auto exact = exact_weights(run, w);
  lowrank::for_each_weight<nn::Factored>(
      run.server.model(), [&](const std::string& layer, nn::Factored<double>& f) {
        Tensor<double> update = clone(exact.at(layer));
        add_scaled(update, -1.0, w.at(layer));
        const auto best = lowrank::svd_factors(update, f.rank(), f.scale());
        CHECK(difference(lowrank_compose(w.at(layer), f.a().value(), f.b().value(), f.scale()),
                         lowrank_compose(w.at(layer), best.a, best.b, f.scale())) < 1e-12);
      });
}
