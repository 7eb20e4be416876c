// Data of one's own: vectors made on the spot, several labels a point, and clients of one's own. Points of
// the plane lie in or out of three discs that overlap; twelve clients, each with a slice of the plane, learn
// together what none of them sees.

#include <cmath>
#include <cstdio>
#include <loru/data/partition/natural.hpp>
#include <loru/fl/fl.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/train/train.hpp>

using namespace loru;

namespace {

constexpr Index clients = 12;

// docs: begin data
/// Points (x, y) in [−1, 1)², the discs that hold them, and as client the direction they lie in.
data::Dataset discs(Index count, std::uint64_t seed) {
  constexpr double centres[][2] = {{0.4, 0.0}, {-0.2, 0.35}, {-0.2, -0.35}}, radius = 0.6,
                   pi = 3.14159265358979;
  std::vector<float> points;
  data::Flags inside{.width = 3};
  data::Dataset set{.name = "discs", .sample = {2}};
  rng::Stream random(seed);
  for (Index i = 0; i < count; ++i) {
    const double x = random.uniform(-1.0, 1.0), y = random.uniform(-1.0, 1.0);
    points.insert(points.end(), {static_cast<float>(x), static_cast<float>(y)});
    for (const auto& c : centres) inside.values.push_back(std::hypot(x - c[0], y - c[1]) < radius);
    const double turn = 0.5 + std::atan2(y, x) / (2.0 * pi);  // [0, 1]
    set.groups.push_back(static_cast<std::int32_t>(std::min(turn, 0.999) * clients));
  }
  set.features = std::move(points);
  set.targets = std::move(inside);
  set.check();
  return set;
}
// docs: end data

}  // namespace

int main() {
  // docs: begin federation
  const data::Split data{discs(3000, 1), discs(1000, 2)};
  const auto parts = data::natural(data.train);
  const auto model = nn::mlp<float>({.channels = 2, .height = 1, .width = 1, .classes = 3});
  const fl::SimulationOptions options{
      .cohort = 6,
      .client = {.epochs = 2, .batch = 16, .optimizer = {.learning_rate = 0.1, .momentum = 0.9}},
      .threads = 2,
      .eval_every = 10};

  fl::Simulation simulation{model, fl::FedAvg{}, data, parts, options, train::MultiLabel{}};
  // docs: end federation
  double f1 = 0.0;
  for (const fl::Round& round : simulation.rounds(40))
    if (round.evaluated()) {
      f1 = round.test_metrics[0];
      std::printf("round %2td  loss %.4f  f1 %.4f  auc %.4f\n", round.index, round.test_loss, f1,
                  round.test_metrics[1]);
    }

  auto alone = model;
  train::fit(alone, data.train, parts.samples(0), {.epochs = 80, .batch = 16, .optimizer = {.momentum = 0.9}},
             train::MultiLabel{});
  WorkerPool pool(2);
  const auto one = train::evaluate(alone, data.test, pool, train::MultiLabel{});
  std::printf("one client alone  f1 %.4f  auc %.4f\n", one.metrics[0], one.metrics[1]);
  return f1 > 0.9 && f1 > one.metrics[0] ? 0 : 1;
}
