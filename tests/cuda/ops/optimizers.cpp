// Optimizers on the device: many parameters in a launch, bit for bit what one update each gives.

#include <loru/cuda/ops/elementwise.cuh>
#include <loru/cuda/ops/reduce.cuh>
#include <loru/cuda/ops/update.cuh>
#include <loru/optim/optim.hpp>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// Parameters of very different sizes, more than one launch holds; the fifth has no gradient.
template <class D>
std::vector<Variable<float, D>> parameters() {
  std::vector<Variable<float, D>> all;
  for (Index i = 0; i < 120; ++i) {
    const Shape shape{i % 7 == 0 ? 1500 + i : 1 + i, i % 2 + 1};
    const auto seed = static_cast<std::uint64_t>(i);
    all.emplace_back(loru::to_device<D>(gaussian<float>(shape, 2 * seed)), true);
    if (i != 4) all.back().accumulate(loru::to_device<D>(gaussian<float>(shape, 2 * seed + 1)));
  }
  return all;
}

/// The parameters after three steps.
template <template <class, class> class O, class D, class Options>
std::vector<Tensor<float>> trained(const Options& options) {
  O<float, D> optimizer(parameters<D>(), options);
  for (int i = 0; i < 3; ++i) optimizer.step(0.1);
  std::vector<Tensor<float>> values;
  for (const auto& p : optimizer.parameters()) values.push_back(loru::to_host(p.value()));
  return values;
}

template <template <class, class> class O, class Options>
void check_optimizer(const Options& options, int tensors_kept, int launches) {
  const auto before = emulator::statistics.launches.load();
  const auto got = trained<O, Cuda>(options);
  if (emulator::present)  // zeros; a few launches a step
    CHECK(emulator::statistics.launches.load() - before == tensors_kept + 3 * launches);
  check_exact(in_all_orders([&] { return trained<O, Cuda>(options); }), got);
  check_close(got, trained<O, Cpu>(options), 1e-6);
}

}  // namespace

TEST_CASE("cuda optimizers: SGD and Adam update all parameters in a few launches") {
  check_optimizer<optim::Sgd>(optim::SgdOptions{}, 0, 2);
  check_optimizer<optim::Sgd>(optim::SgdOptions{.momentum = 0.9, .nesterov = true, .weight_decay = 0.01}, 120,
                              2);
  check_optimizer<optim::Adam>(optim::AdamOptions{.weight_decay = 0.01, .decoupled = true}, 240, 3);
}

TEST_CASE("cuda optimizers: clipping asks for nothing to be read, and gives the host's parameters") {
  for (const double limit : {0.5, 1e6}) {
    const optim::SgdOptions sgd{.momentum = 0.9, .weight_decay = 0.01, .clip_norm = limit};
    const optim::AdamOptions adam{.weight_decay = 0.01, .clip_norm = limit};
    check_close(in_all_orders([&] { return trained<optim::Sgd, Cuda>(sgd); }), trained<optim::Sgd, Cpu>(sgd),
                1e-6);
    check_close(in_all_orders([&] { return trained<optim::Adam, Cuda>(adam); }),
                trained<optim::Adam, Cpu>(adam), 1e-6);
  }
  optim::Sgd<float, Cuda> optimizer(parameters<Cuda>(), {.clip_norm = 0.5});
  optimizer.step(0.1);
  const auto before = emulator::inventory();
  const auto launches = emulator::statistics.launches.load();
  optimizer.step(0.1);
  const auto after = emulator::inventory();
  CHECK(after.all_synchronisations == before.all_synchronisations);
  CHECK(after.all_copies == before.all_copies);
  if (emulator::present)  // squares, their sum and the factor, updates in two
    CHECK(emulator::statistics.launches.load() - launches == 4);
}

namespace {

/// An optimizer that knows of no device.
struct Plain final : optim::Optimizer<float, Cuda> {
  using optim::Optimizer<float, Cuda>::Optimizer;
  double seen = 0.0;
  void update(double, double gradient_scale) override { seen = gradient_scale; }
};

}  // namespace

TEST_CASE("cuda optimizers: one that leaves no factor on the device is told it") {
  Plain optimizer(parameters<Cuda>(), 0.5);
  optimizer.step(0.1);
  CHECK(optimizer.seen ==
        Approx(optim::clip_factor(optim::gradient_norm(parameters<Cpu>()), 0.5)).epsilon(1e-12));
}

TEST_CASE("cuda optimizers: a gradient of another shape is refused in the host's words") {
  auto w = to_device(gaussian<float>({3})), v = to_device(gaussian<float>({3}));
  const auto g = to_device(gaussian<float>({4}));
  const std::vector<ParameterUpdate<float, Cuda>> all{{&w, &g, &v, nullptr, 1}};
  CHECK_THROWS_WITH(sgd_update_all(all, {}, {}), "sgd_update: expected equal shapes, got (3) and (4)");
}
