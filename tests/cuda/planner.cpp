// Plans for the CUDA device go by its compute capability alone: the host's instruction set has no say.
#include <loru/cuda/work.hpp>
#include <loru/lowrank/planner.hpp>

#include "support/catch.hpp"

using namespace loru;
using cuda::Cuda;

namespace {

LowRankProblem conv(Index images, Index c, Index m, Index r, Index side) {
  return {.rows = images * side * side,
          .in = 9 * c,
          .out = m,
          .rank = r,
          .convolution = true,
          .kernel = 3,
          .padding = 1,
          .height = side,
          .width = side};
}

}  // namespace

TEST_CASE("cuda planner: rates are those of the capability, or of the last below it") {
  CHECK(cuda::capability_rates(8, 0) == cuda::capability_rates(8, 5));
  CHECK(cuda::capability_rates(9, 0) == cuda::capability_rates(9, 9));
  CHECK(cuda::capability_rates(7, 5) == cuda::capability_rates(8, 0));
  CHECK(cuda::capability_rates(99, 0) == cuda::capability_rates(12, 0));
  for (const cuda::DataSheet& sheet : cuda::data_sheets) {
    const cost::Rates rates = cuda::capability_rates(sheet.major, sheet.minor);
    for (double rate : rates.of) CHECK(rate > 0.0);
    CHECK(rates.of[cost::kind::product + 4] == 1e3 * sheet.tflops);
    CHECK(rates.of[cost::kind::memory] == sheet.bandwidth);
  }
}

TEST_CASE("cuda planner: the current device's rates") {
  const cuda::DeviceProperties device = cuda::device_properties();
  CHECK(device_rates(Cuda{}) == cuda::capability_rates(device.major, device.minor));
}

TEST_CASE("cuda planner: no windows in memory, no filtering, and a fused factored graph") {
  LowRankProblem p = conv(32, 64, 64, 16, 14);
  const auto M = static_cast<double>(p.rows), n = 9.0 * 64, m = 64.0, r = 16.0;
  for (Plan plan : {Plan::factored, Plan::composed, Plan::composed_full}) {
    const cost::Work work = step_work(Cuda{}, plan, p);
    CHECK(work[cost::kind::windows] == 0.0);
    CHECK(work[cost::kind::transforms] == 0.0);
    double products = 0.0, filterings = 0.0;
    for (std::size_t i = 0; i < cost::thin_extents.size(); ++i)
      products += work[cost::kind::product + i], filterings += work[cost::kind::filtering + i];
    CHECK(filterings == 0.0);
    CHECK(products == Approx(lowrank::flops(plan, p)));
  }
  // S, y, dS, dB, dx and dA are a launch each.
  CHECK(step_work(Cuda{}, Plan::factored, p)[cost::kind::calls] == 6.0);
  // x is read for S, y and dA, S for y and dB, dy for dS, dB and dx, dS for dx and dA.
  const double pixels = M * 64, weights = m * n, a = r * n, b = m * r;
  CHECK(step_work(Cuda{}, Plan::factored, p)[cost::kind::memory] ==
        Approx(4.0 * (pixels + a + M * r                      // S
                      + pixels + weights + M * m + M * r + b  // y
                      + M * m + b + M * r                     // dS
                      + M * m + M * r + b                     // dB
                      + pixels + weights + M * m + M * r + a  // dx
                      + pixels + a + M * r)));                // dA
}

TEST_CASE("cuda planner: the same plans whatever the host is") {
  const cost::Rates h100 = cuda::capability_rates(9, 0);
  const auto plan = [&](const LowRankProblem& p) { return lowrank::choose<Cuda>(p, h100); };
  CHECK(plan({.rows = 16, .in = 1024, .out = 1024, .rank = 16}) == Plan::factored);
  CHECK(plan(conv(2, 512, 512, 16, 4)) == Plan::factored);
  CHECK(plan(conv(256, 64, 64, 128, 32)) == Plan::composed_full);
}
