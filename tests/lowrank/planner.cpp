#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/models.hpp>

#include "support/catch.hpp"

using namespace loru;
using lowrank::flops;
using lowrank::Rates;
using lowrank::seconds;
using nn::LowRankProblem;

namespace {

constexpr Plan plans[] = {Plan::factored, Plan::composed, Plan::composed_full};

/// A device whose plans take a script's seconds: 2, 3 and 1.
struct Scripted {
  static constexpr const char* name = "scripted";
  static Buffer allocate(std::size_t bytes) { return Cpu::allocate(bytes); }
};

Rates device_rates(Scripted) {
  Rates rates;
  rates.of.fill(1e-6);
  return rates;
}

cost::Work step_work(Scripted, Plan plan, const LowRankProblem&) {
  cost::Work work;
  work[cost::kind::calls] = plan == Plan::factored ? 2.0 : plan == Plan::composed ? 3.0 : 1.0;
  return work;
}

/// One rate for every FLOP; bytes and calls cost nothing.
Rates equal_rates(double gflops) {
  Rates rates{};
  rates.of.fill(1e300);
  for (std::size_t i = 0; i < cost::kind::memory; ++i) rates.of[i] = gflops;
  return rates;
}

LowRankProblem conv(Index images, Index c, Index m, Index r, Index kernel, Index stride, Index side) {
  const Index out = window_extent("conv", side, kernel, stride, kernel / 2, 1);
  return {.rows = images * out * out,
          .in = c * kernel * kernel,
          .out = m,
          .rank = r,
          .convolution = true,
          .kernel = kernel,
          .stride = stride,
          .padding = kernel / 2,
          .height = side,
          .width = side};
}

}  // namespace

TEST_CASE("planner: FLOPs are those of the table") {
  const LowRankProblem p{.rows = 100, .in = 50, .out = 30, .rank = 4};
  const double M = 100, n = 50, m = 30, r = 4;
  CHECK(flops(Plan::factored, p) == 4 * M * n * m + 6 * M * r * (n + m));
  CHECK(flops(Plan::composed, p) == 4 * M * n * m + 4 * M * r * (n + m) + 2 * n * m * r);
  CHECK(flops(Plan::composed_full, p) == 6 * M * n * m + 6 * n * m * r);

  LowRankProblem first = p;  // of a model's first layer no input gradient is asked
  first.input_gradient = false;
  CHECK(flops(Plan::factored, first) == 2 * M * n * m + 6 * M * r * (n + m) - 2 * M * n * r);
  CHECK(flops(Plan::composed, first) == 2 * M * n * m + 4 * M * r * (n + m) + 2 * n * m * r);
  CHECK(flops(Plan::composed_full, first) == 4 * M * n * m + 6 * n * m * r);
}

TEST_CASE("planner: at equal rates and no bytes a prediction is its FLOPs, whatever is plain products") {
  const Rates rates = equal_rates(2.0);
  for (bool input_gradient : {true, false})
    for (Index r : {1, 7, 33, 200}) {
      LowRankProblem linear{.rows = 100, .in = 50, .out = 30, .rank = r, .input_gradient = input_gradient};
      LowRankProblem one = conv(4, 40, 24, r, 1, 1, 5);
      LowRankProblem wide = conv(4, 5, 24, r, 7, 2, 12);  // no Winograd for seven taps
      one.input_gradient = wide.input_gradient = input_gradient;
      for (Plan plan : plans)
        for (const LowRankProblem& p : {linear, one, wide})
          CHECK(seconds(plan, p, rates) == Approx(flops(plan, p) / 2e9).epsilon(1e-9));
    }
}

TEST_CASE("planner: convolutions by Winograd's filtering take the multiplications of their tiles") {
  const Rates rates = equal_rates(1.0);
  struct Case {
    Index kernel, stride;
    double share;  // multiplications over those of the direct form, where tiles fit exactly
  };
  for (const auto& [kernel, stride, share] : {Case{3, 1, 36.0 / 144}, Case{5, 1, 36.0 / 100}}) {
    const LowRankProblem p = conv(32, 64, 64, 16, kernel, stride, 16);
    const double plain = 2.0 * static_cast<double>(p.rows * p.rank) * 64;  // S·Bᵀ, and likewise dB and dS
    CHECK(seconds(Plan::factored, p, rates) * 1e9 ==
          Approx(share * (flops(Plan::factored, p) - 3 * plain) + 3 * plain));
    LowRankProblem exact = p;
    exact.single = false;  // doubles go through windows
    CHECK(seconds(Plan::factored, exact, rates) * 1e9 == Approx(flops(Plan::factored, p)));
  }
  // 7×7 images take 2×2 tiles of 4×4.
  const LowRankProblem odd = conv(32, 64, 64, 16, 3, 1, 7), even = conv(32, 64, 64, 16, 3, 1, 8);
  const auto multiplications = [](const LowRankProblem& p) {
    const cost::Work work = step_work(Cpu{}, Plan::composed_full, p);
    double sum = 0.0;
    for (std::size_t i = cost::kind::filtering; i < cost::kind::memory; ++i) sum += work[i];
    return sum;
  };
  CHECK(multiplications(odd) == Approx(multiplications(even)));
  CHECK(multiplications(odd) > 0.0);
  // Four channels of A have no filtering of their own, whereas W has.
  CHECK(multiplications(conv(32, 64, 64, 4, 3, 1, 8)) == Approx(multiplications(even)));
}

TEST_CASE("planner: predictions grow with every extent, and fall with every rate") {
  const Rates rates = device_rates(Cpu{});
  const LowRankProblem p{.rows = 128, .in = 256, .out = 256, .rank = 16};
  for (Plan plan : plans) {
    for (Index LowRankProblem::* extent :
         {&LowRankProblem::rows, &LowRankProblem::in, &LowRankProblem::out}) {
      double before = 0.0;
      for (Index value : {64, 96, 128, 256, 1000, 4096}) {
        LowRankProblem larger = p;
        larger.*extent = value;
        CHECK(seconds(plan, larger, rates) > before);
        before = seconds(plan, larger, rates);
      }
    }
    LowRankProblem first = p, high = p;
    first.input_gradient = false;
    high.rank = 200;
    CHECK(seconds(plan, first, rates) < seconds(plan, p, rates));
    CHECK(seconds(plan, high, rates) > seconds(plan, p, rates));
    for (std::size_t i = 0; i < rates.of.size(); ++i) {
      Rates faster = rates;
      faster.of[i] *= 2.0;
      CHECK(seconds(plan, p, faster) <= seconds(plan, p, rates));
    }
  }
}

TEST_CASE("planner: at equal rates composed beats factored exactly when M > n·m / (n + m)") {
  const Index n = GENERATE(64, 800, 3136), m = GENERATE(10, 64, 512), r = GENERATE(1, 8);
  const Index edge = n * m / (n + m);
  for (Index rows : {Index{1}, edge - 1, edge + 1, 4 * edge}) {
    if (rows < 1) continue;
    const LowRankProblem p{.rows = rows, .in = n, .out = m, .rank = r};
    CHECK((lowrank::choose(p, equal_rates(100.0)) != Plan::factored) == (rows * (n + m) > n * m));
  }
}

TEST_CASE("planner: the fastest is chosen, by the problem and the rates alone") {
  const LowRankProblem few{.rows = 8, .in = 3136, .out = 512, .rank = 16};
  const LowRankProblem many = conv(32, 64, 64, 8, 7, 1, 14);
  const LowRankProblem wide = conv(32, 64, 64, 64, 7, 1, 14);
  const Rates rates = equal_rates(100.0);
  CHECK(lowrank::choose(few, rates) == Plan::factored);
  CHECK(lowrank::choose(many, rates) == Plan::composed);
  CHECK(lowrank::choose(wide, rates) == Plan::composed_full);
  Rates slow_thin = rates;  // products of few columns at a tenth of the speed make the full gradient faster
  slow_thin.of[cost::kind::product] = 10.0;
  CHECK(lowrank::choose(many, slow_thin) == Plan::composed_full);
  for (const LowRankProblem& p : {few, many, wide, conv(32, 512, 512, 128, 3, 1, 4)})
    for (Plan plan : plans) {
      const Plan chosen = lowrank::choose(p);
      CHECK(seconds(chosen, p) <= seconds(plan, p));
      CHECK(lowrank::choose(p) == chosen);
    }
}

TEST_CASE("planner: a device goes by its own rates and its own ways") {
  const LowRankProblem many = conv(32, 64, 64, 8, 7, 1, 14);
  REQUIRE(lowrank::choose(many, equal_rates(100.0)) == Plan::composed);
  CHECK(lowrank::choose<Scripted>(many) == Plan::composed_full);
  CHECK(lowrank::seconds<Scripted>(Plan::factored, many) == Approx(2.0));
  CHECK(lowrank::plan_rule<Scripted>(lowrank::PlanChoice::automatic)(many) == Plan::composed_full);
  Rates halved = device_rates(Scripted{});
  halved.of[cost::kind::calls] = 0.5e-6;
  CHECK(lowrank::seconds<Scripted>(Plan::factored, many, halved) == Approx(4.0));
}

TEST_CASE("planner: a convolution costs what its way takes") {
  const auto windows = [](const LowRankProblem& p, Direction direction) {
    return cpu::layer_work(direction, p, p.out)[cost::kind::windows];
  };
  using enum Direction;
  const LowRankProblem shortcut = conv(32, 64, 128, 16, 1, 2, 28), narrow = conv(32, 64, 128, 16, 1, 2, 8);
  CHECK(windows(shortcut, forward) == 0.0);  // lines
  CHECK(windows(shortcut, weight_gradient) == 0.0);
  CHECK(windows(shortcut, input_gradient) == 2.0 * 4.0 * 32 * 14 * 14 * 64);  // written and read
  CHECK(windows(narrow, forward) == 4.0 * 32 * 4 * 4 * 64);                   // 4 pixels a line
  LowRankProblem dilated = conv(32, 3, 16, 4, 3, 1, 16);
  CHECK(windows(dilated, input_gradient) == 0.0);  // lines of dy with the reversed kernel
  dilated.dilation = dilated.padding = 2;
  CHECK(windows(dilated, forward) == 4.0 * 32 * 16 * 16 * 9 * 3);
  CHECK(windows(dilated, input_gradient) == 4.0 * 32 * 16 * 16 * 9 * 16);
  LowRankProblem oblong = dilated;
  oblong.kernel = 0;
  CHECK(windows(oblong, forward) == 4.0 * 32 * 16 * 16 * 27);
}

TEST_CASE("planner: rules, forced or not") {
  using enum lowrank::PlanChoice;
  const LowRankProblem few{.rows = 8, .in = 3136, .out = 512, .rank = 16};
  CHECK(lowrank::plan_rule(automatic)(few) == Plan::factored);
  CHECK(lowrank::plan_rule(factored)(few) == Plan::factored);
  CHECK(lowrank::plan_rule(composed)(few) == Plan::composed);
  CHECK(lowrank::plan_rule(composed_full)(few) == Plan::composed_full);
  const LowRankProblem many = conv(32, 64, 64, 8, 7, 1, 14);
  Rates slow_thin = equal_rates(100.0);
  slow_thin.of[cost::kind::product] = 1.0;
  CHECK(lowrank::plan_rule(automatic, slow_thin)(many) == Plan::composed_full);
}

TEST_CASE("planner: explain tells every factored layer's product in a step") {
  nn::Model<float> model = nn::build<float>("resnet10", {.channels = 3, .height = 16, .width = 16});
  lowrank::factorize(model, {.rank = 33, .layers = {"layer*"}});
  const auto plans_found = lowrank::explain(model, {32, 3, 16, 16});
  REQUIRE(plans_found.size() == 11);
  const LowRankProblem& p = plans_found[2].problem;
  CHECK(plans_found[2].layer == "layer2.0.conv1");
  CHECK(plans_found[2].plan == lowrank::choose(p));
  CHECK((p.rows == 32 * 8 * 8 && p.in == 9 * 64 && p.out == 128 && p.rank == 33));
  CHECK((p.kernel == 3 && p.stride == 2 && p.padding == 1 && p.height == 16 && p.width == 16));
  CHECK((p.convolution && p.input_gradient && p.single));

  nn::Model<double> first = nn::build<double>("mlp", {.channels = 1, .height = 4, .width = 4});
  lowrank::factorize(first,
                     {.rank = 2, .layers = {"fc*"}, .dropout = 0.5, .plan = lowrank::PlanChoice::composed});
  const auto dropped = lowrank::explain(first, {8, 1, 4, 4});
  CHECK_FALSE(dropped[0].problem.input_gradient);
  CHECK(dropped[1].problem.input_gradient);
  CHECK_FALSE(dropped[0].problem.single);
  CHECK(dropped[0].problem.rows == 8);
  CHECK(dropped[0].plan == Plan::factored);  // dropout forces it
}

TEST_CASE("planner: the step of a batch of sequences is explained by one of them") {
  nn::Model<float> model = nn::bert<float>({.vocabulary = 20, .positions = 8, .width = 12, .heads = 3});
  lowrank::factorize(model, {.rank = 2, .layers = {"*.self.query", "bert.pooler.dense"}});
  const auto plans_of = [&](std::vector<Index> starts, Index times) {
    Tensor<std::int32_t> zeros(Shape{starts.back()});
    std::fill(zeros.data(), zeros.data() + zeros.size(), 0);
    return lowrank::explain(model, nn::Tokens<>(zeros, {std::move(starts)}), times);
  };
  const auto one = plans_of({0, 5}, 3), three = plans_of({0, 5, 10, 15}, 1);
  REQUIRE(one.size() == three.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    INFO(one[i].layer);
    CHECK(one[i].problem.rows == three[i].problem.rows);
    CHECK(one[i].plan == three[i].plan);
  }
  CHECK(one.front().problem.rows == 15);
  CHECK(one.back().problem.rows == 3);  // the pooler's
  CHECK(plans_of({0, 5}, Index{1} << 40).front().problem.rows == 5 * (Index{1} << 40));
}

TEST_CASE("planner: rates as text and back") {
  Rates rates = device_rates(Cpu{});
  for (std::size_t i = 0; i < rates.of.size(); ++i) rates.of[i] = 1.0 / 3.0 + static_cast<double>(i);
  const std::string text = lowrank::to_toml(rates);
  CHECK(lowrank::parse_rates(text, "r.toml", device_rates(Cpu{})) == rates);
  Rates one = rates;
  one.of[cost::kind::calls] = 4.0;
  CHECK(lowrank::parse_rates("# only one\n\n calls = 4 # million\r\n", "r.toml", rates) == one);
  const auto refused = [&](const std::string& line, const std::string& message) {
    CHECK_THROWS_AS(lowrank::parse_rates(line, "r.toml", rates), ConfigError);
    CHECK_THROWS_WITH(lowrank::parse_rates(line, "r.toml", rates), message);
  };
  refused("\nmemry = 3", "r.toml:2: unknown rate 'memry', nearest is 'memory'");
  refused("memory = 0", "r.toml:1: memory: expected rates > 0, got 0");
  refused("memory = -2.5", "r.toml:1: memory: expected rates > 0, got -2.5");
  refused("memory = inf", "r.toml:1: memory: expected rates > 0, got inf");
  refused("memory = fast", "r.toml:1: expected a number, got 'fast'");
  refused("memory = [1, 2]", "r.toml:1: memory: expected 1 number, got 2");
  refused("product = [1, 2]", "r.toml:1: product: expected 5 numbers, got 2");
  refused("product", "r.toml:1: expected name = rates, got 'product'");
}
