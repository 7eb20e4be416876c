#include <loru/lowrank/planner.hpp>

#include "support/catch.hpp"

using namespace loru;
using lowrank::cost;
using nn::LowRankProblem;

TEST_CASE("planner: costs are the FLOPs of the table") {
  const LowRankProblem p{.rows = 100, .in = 50, .out = 30, .rank = 4};
  const double M = 100, n = 50, m = 30, r = 4;
  CHECK(cost(Plan::factored, p) == 4 * M * n * m + 6 * M * r * (n + m));
  CHECK(cost(Plan::composed, p) == 4 * M * n * m + 4 * M * r * (n + m) + 2 * n * m * r);
  CHECK(cost(Plan::composed_full, p) == 6 * M * n * m + 6 * n * m * r);

  LowRankProblem first = p;  // of a model's first layer no input gradient is asked
  first.input_gradient = false;
  CHECK(cost(Plan::factored, first) == 2 * M * n * m + 4 * M * r * (n + m));
  CHECK(cost(Plan::composed, first) == 2 * M * n * m + 4 * M * r * (n + m) + 2 * n * m * r);
  CHECK(cost(Plan::composed_full, first) == 4 * M * n * m + 6 * n * m * r);

  CHECK(cost(Plan::factored, p, {.dense = 2.0}) == 2 * M * n * m + 6 * M * r * (n + m));
  CHECK(cost(Plan::composed_full, p, {.weight_gradient = 2.0}) == 5 * M * n * m + 6 * n * m * r);
}

TEST_CASE("planner: composed beats factored exactly when M > n·m / (n + m)") {
  const Index n = GENERATE(64, 800, 3136), m = GENERATE(10, 64, 512), r = GENERATE(1, 8);
  const Index edge = n * m / (n + m);
  for (Index rows : {Index{1}, edge - 1, edge, edge + 1, 4 * edge}) {
    if (rows < 1) continue;
    const LowRankProblem p{.rows = rows, .in = n, .out = m, .rank = r};
    CHECK((cost(Plan::composed, p) < cost(Plan::factored, p)) == (rows * (n + m) > n * m));
  }
}

TEST_CASE("planner: the cheapest is chosen") {
  const LowRankProblem few{.rows = 8, .in = 3136, .out = 512, .rank = 16};
  CHECK(lowrank::choose(few) == Plan::factored);
  const LowRankProblem many{.rows = 6272, .in = 800, .out = 64, .rank = 8};
  CHECK(lowrank::choose(many) == Plan::composed);
  const LowRankProblem wide{.rows = 6272, .in = 800, .out = 64, .rank = 64};
  CHECK(lowrank::choose(wide) == Plan::composed_full);
  // The rates decide: thin products that run at a tenth of the speed make the full gradient cheaper.
  CHECK(lowrank::choose(many, {.thin = 0.1}) == Plan::composed_full);
  for (Plan plan : {Plan::factored, Plan::composed, Plan::composed_full})
    CHECK(cost(lowrank::choose(many), many) <= cost(plan, many));
}

TEST_CASE("planner: rules, forced or not") {
  const LowRankProblem few{.rows = 8, .in = 3136, .out = 512, .rank = 16};
  CHECK(lowrank::plan_rule(lowrank::PlanChoice::automatic)(few) == Plan::factored);
  const LowRankProblem many{.rows = 6272, .in = 800, .out = 64, .rank = 8};
  CHECK(lowrank::plan_rule(lowrank::PlanChoice::automatic, {.thin = 0.1})(many) == Plan::composed_full);
  CHECK(lowrank::plan_rule(lowrank::PlanChoice::factored)(few) == Plan::factored);
  CHECK(lowrank::plan_rule(lowrank::PlanChoice::composed)(few) == Plan::composed);
  CHECK(lowrank::plan_rule(lowrank::PlanChoice::composed_full)(few) == Plan::composed_full);
}
