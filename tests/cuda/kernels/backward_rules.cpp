// Which form the backward pass takes, and how its reductions are cut: functions of the shape and the device's
// rates.
#include <numeric>
#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/backward_cohort.cuh>

#include "support/catch.hpp"

using namespace loru::cuda;

TEST_CASE("the form of the backward pass") {
  const DeviceRates rates{4e14, 3e12};
  const auto form = [&](int m, int n, int r, bool with_dx = true) {
    return backward_form(1 << 20, m, n, r, true, with_dx, rates, 132);
  };
  CHECK(form(4096, 128, 16) == BackwardForm::one_pass);  // dS is computed once: one column of blocks
  CHECK(form(4096, 4096, 16) == BackwardForm::split);    // dS would be computed 32 times
  CHECK(form(512, 4096, 16) == BackwardForm::split);     // dS is final at once: one group of columns
  CHECK(form(4096, 128, 65) == BackwardForm::split);
  CHECK(form(4096, 128, 16, false) == BackwardForm::split);
  // dS twice, 2 * 4096 * 16 operations a row, against 8 groups of 16 floats written and read, 1024 bytes a
  // row.
  CHECK(form(4096, 256, 16) == BackwardForm::one_pass);
  CHECK(backward_form(1 << 20, 4096, 256, 16, true, true, {3e14, 3e12}, 132) == BackwardForm::split);
  CHECK(backward_form(1 << 20, 4096, 256, 16, true, true, {4e14, 4e12}, 132) == BackwardForm::split);
  // Few blocks of a long loop, and rows of B that are not aligned.
  CHECK(backward_form(131 * 128, 4096, 128, 16, true, true, rates, 132) == BackwardForm::split);
  CHECK(backward_form(132 * 128, 4096, 128, 16, true, true, rates, 132) == BackwardForm::one_pass);
  CHECK(form(4096, 128, 12) == BackwardForm::split);
}

TEST_CASE("the cut of a reduction over rows") {
  CHECK(rows_of_part(1, 1, 1, 132) == 64);
  CHECK(rows_of_part(512, 4608, 512, 132) == 512);  // 288 blocks fill the device
  CHECK(rows_of_part(100000, 4096, 16, 132) % 64 == 0);

  const std::vector<int> rows{1300, 0, 5};
  const auto cut = reduction_cut(rows, 128, 16, 132);
  const int height = rows_of_part(1300, 128, 16, 132), parts = (1300 + height - 1) / height;
  REQUIRE(parts > 1);
  REQUIRE(cut.blocks.size() == static_cast<std::size_t>(parts) + 1);
  CHECK_FALSE(cut.direct);
  CHECK(cut.parts == std::vector{parts, 0, 1});
  CHECK(cut.first_part[0] == 0);
  CHECK(cut.first_part[2] == parts);
  int next = 0;
  for (const auto& block : cut.blocks) {
    CHECK(block.first == next);
    CHECK(block.client == (block.first < 1300 ? 0 : 2));
    next = block.last;
  }
  CHECK(next == 1305);
  CHECK(reduction_cut({5, 64}, 128, 16, 132).direct);
}
