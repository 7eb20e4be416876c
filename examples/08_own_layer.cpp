// A layer of one's own in a federation. Its weights are nn::Weight, so that low-rank factors, messages and
// merges know them without another line.

#include <cstdio>
#include <loru/loru.hpp>

using namespace loru;

namespace {

// docs: begin layer
/// y = (x·Lᵀ) ⊙ (x·Rᵀ): x (M, in), L and R (out, in). Products of features, which no layer of sums has.
template <class T, class D = Cpu>
class Bilinear final : public nn::Module<T, D> {
 public:
  Bilinear(Index in, Index out, const rng::Stream& stream)
      : left_{nn::initial_weight<T, D>({out, in}, nn::Init::kaiming, stream.fork(0))},
        right_{nn::initial_weight<T, D>({out, in}, nn::Init::kaiming, stream.fork(1))} {}

  Variable<T, D> forward(const Variable<T, D>& x, nn::Pass& pass) override {
    return multiply(nn::linear(left_.form(), x, pass), nn::linear(right_.form(), x, pass));
  }

  /// Names what is trained; the names stand in messages and files.
  void visit(const nn::Visitor<T, D>& visitor, const std::string& prefix) override {
    left_.visit(visitor, nn::join_name(prefix, "left"));
    right_.visit(visitor, nn::join_name(prefix, "right"));
  }

  std::unique_ptr<nn::Module<T, D>> clone() const override { return std::make_unique<Bilinear>(*this); }

 private:
  nn::Weight<T, D> left_, right_;
};
// docs: end layer

// docs: begin model
nn::Model<float> build() {
  const rng::Stream init(1, rng::Purpose::init);
  nn::Sequential<float> layers;
  layers.add("flatten", nn::Flatten<float>());
  layers.add("pairs", Bilinear<float>(64, 96, init.fork(0)));
  layers.add("out", nn::Linear<float>({.in = 96, .out = 10}, init.fork(1)));
  return layers;
}
// docs: end model

/// Accuracy, and kilobytes that one client sends up in a round.
std::pair<double, double> run(nn::Model<float> model, const fl::AnyAlgorithm<float>& algorithm,
                              const data::Split& digits) {
  const fl::ClientOptions client{.epochs = 2, .batch = 16, .optimizer = {.learning_rate = 0.05}};
  fl::Simulation simulation{std::move(model),
                            algorithm,
                            digits,
                            data::iid(digits.train, {.clients = 10}),
                            {.cohort = 5, .client = client, .eval_every = 0}};
  double bytes = 0.0;
  for (const fl::Round& round : simulation.rounds(15)) bytes = static_cast<double>(round.uplink_bytes);
  return {simulation.evaluate().accuracy, bytes / 5.0 / 1e3};
}

}  // namespace

// docs: begin use
int main() {
  const data::Split digits = data::digits();
  const auto [dense, dense_kb] = run(build(), fl::FedAvg{}, digits);
  auto factored = build();
  lowrank::factorize(factored, {.rank = 8, .alpha = 8.0, .layers = {"pairs.*"}});
  const auto [low, low_kb] = run(factored, fl::FedLoRU{.tau = 5}, digits);
  std::printf("fedavg   accuracy %.4f, %.1f kB up per client and round\n", dense, dense_kb);
  std::printf("fedloru  accuracy %.4f, %.1f kB up per client and round\n", low, low_kb);
  return dense > 0.9 && low > 0.85 && low_kb < dense_kb / 2.0 ? 0 : 1;
}
// docs: end use
