// The forward kernels on the emulator against sums in double.
#include "cuda/kernels/forward.hpp"

#include <utility>

#include <loru/cuda/kernels/compiled.cuh>
#include "cuda/support/test_queue.hpp"
#include "support/catch.hpp"

using loru::cuda::ForwardForm;
using namespace loru_test;

namespace {

// A K loop step is 32 (bf16) or 16 elements: loops run 1, stages - 1, stages and more times. 0 steps: an
// empty second product cannot be, r >= 1. Two blocks in each dimension; odd everything; strides; addresses
// off alignment.
const std::vector<ForwardShape> shapes{
    {1, 1, 1, 1},          {130, 129, 33, 3},      {33, 17, 257, 64},
    {129, 140, 40, 16, 8}, {31, 300, 50, 20, 3},   {65, 8, 160, 5, 0, 1},
    {128, 128, 128, 32},   {140, 40, 96, 8, 0, 8}, {64, 20, 31, 40, 8},
};

template <class Math>
void run(ForwardProblem<Math>& p, ForwardForm form, const TestQueue& queue) {
  const loru::cuda::Client<typename Math::Element> client{p.A.read(), p.B.read(), p.s};
  loru::cuda::lora_forward<Math>(form, p.x.read(), p.W.read(), client, p.with_bias ? p.bias.data() : nullptr,
                                 p.relu, p.y.view(), p.S.view(), queue);
}

template <class Math>
void check(ForwardForm form, const ForwardShape& q, int stages, int multiprocessors = 1) {
  stages = std::min(stages, loru::cuda::forward_stages(most_block_memory()));
  for (const Fill kind : all_fills) {
    INFO("M " << q.M << " m " << q.m << " n " << q.n << " r " << q.r << " pad " << q.pad << " offset "
              << q.offset << " stages " << stages << " multiprocessors " << multiprocessors
              << (kind == Fill::integers ? " integers" : " random"));
    compare_in_every_order([&](Comparison& seen) {
      ForwardProblem<Math> problem(q, kind);
      const TestQueue queue(multiprocessors, stages);
      run(problem, form, queue);
      problem.compare(seen);
      CHECK(queue.at_rest());
    });
  }
}

template <class Math>
void check_all(ForwardForm form) {
  int count = 0;
  for (const auto& q : shapes) check<Math>(form, q, count++ % 2 == 0 ? 4 : 3);
}

/// While one is alive, kernels are not waited for one by one.
struct OneAfterTheOther {
  bool before = std::exchange(loru::cuda::detail::wait_for_kernels(), false);
  OneAfterTheOther() = default;
  OneAfterTheOther(const OneAfterTheOther&) = delete;
  OneAfterTheOther& operator=(const OneAfterTheOther&) = delete;
  ~OneAfterTheOther() { loru::cuda::detail::wait_for_kernels() = before; }
};

}  // namespace

TEST_CASE("forward: one pass, bf16") { check_all<loru::cuda::InBf16>(ForwardForm::one_pass); }
TEST_CASE("forward: one pass, tf32") { check_all<loru::cuda::InTf32>(ForwardForm::one_pass); }
TEST_CASE("forward: one pass, float") { check_all<loru::cuda::InFloat>(ForwardForm::one_pass); }

TEMPLATE_TEST_CASE("forward: split at S", "", loru::cuda::InBf16, loru::cuda::InTf32, loru::cuda::InFloat) {
  check_all<TestType>(ForwardForm::split);
}
TEMPLATE_TEST_CASE("forward: split at S, ranks beyond a tile", "", loru::cuda::InBf16, loru::cuda::InTf32,
                   loru::cuda::InFloat) {
  check<TestType>(ForwardForm::split, {70, 140, 90, 100}, 4);
  check<TestType>(ForwardForm::split, {140, 30, 64, 131, 5}, 3);
}
TEMPLATE_TEST_CASE("forward: split at S, sums in pieces", "", loru::cuda::InBf16, loru::cuda::InTf32,
                   loru::cuda::InFloat) {
  // Blocks of 32, 64 and 128 rows; aligned, odd ranks beside aligned x and W, nothing aligned.
  check<TestType>(ForwardForm::split, {20, 130, 1200, 16}, 4, few_multiprocessors);
  check<TestType>(ForwardForm::split, {33, 40, 1200, 3}, 3, few_multiprocessors);
  check<TestType>(ForwardForm::split, {130, 72, 808, 70, 1}, 3, few_multiprocessors);
  check<TestType>(ForwardForm::split, {5, 264, 600, 9}, 3, few_multiprocessors);
}

TEST_CASE("forward: sums in forty pieces, launch after launch, give the same bits") {
  constexpr int multiprocessors = 132, of_first_product = 3136 / 16;  // tiles of k
  CHECK(loru::cuda::product_cut(1, of_first_product, false, multiprocessors).pieces >= 40);
  const int rounds = loru::emulator::present ? 1 : 100, launches = loru::emulator::present ? 3 : 100;
  ForwardProblem<loru::cuda::InFloat> p({32, 16, 3136, 16}, Fill::random);
  const TestQueue queue(multiprocessors);
  run(p, ForwardForm::split, queue);
  Comparison seen;
  p.compare(seen);
  INFO(seen.where());
  CHECK(seen.worst() <= 1);

  const OneAfterTheOther unwatched;
  const auto size = static_cast<std::size_t>(p.q.M * p.q.m);  // of y, and of S
  std::vector<float> y(size * static_cast<std::size_t>(launches), NAN), S = y;
  const DeviceMemory<float> all_y(y), all_S(S);
  int others = 0;
  for (int round = 0; round < rounds; ++round) {
    all_y.set(std::vector<float>(y.size(), NAN));
    all_S.set(std::vector<float>(S.size(), NAN));
    for (int i = 0; i < launches; ++i) {
      const auto at = size * static_cast<std::size_t>(i);
      loru::cuda::lora_forward<loru::cuda::InFloat>(
          ForwardForm::split, p.x.read(), p.W.read(), {p.A.read(), p.B.read(), p.s},
          p.with_bias ? p.bias.data() : nullptr, p.relu, {all_y.data() + at, p.q.M, p.q.m, p.q.m},
          {all_S.data() + at, p.q.M, p.q.r, p.q.r}, queue);
    }
    all_y.get(y);
    all_S.get(S);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const int row = static_cast<int>(i % size) / p.q.m, column = static_cast<int>(i % size) % p.q.m;
      others += y[i] != static_cast<float>(p.y.value(row, column));
      others += S[i] != static_cast<float>(p.S.value(row, column));
    }
  }
  CHECK(others == 0);
  CHECK(queue.at_rest());
}

TEST_CASE("forward: with an odd rank x and W are copied asynchronously all the same") {
  if (!loru::emulator::present) LORU_SKIP("the emulator counts copies");
  const ForwardShape q{70, 136, 128, 3};
  ForwardProblem<loru::cuda::InFloat> problem(q, Fill::integers);
  const auto before = loru::emulator::statistics.cp_async.load();
  run(problem, ForwardForm::split, TestQueue(1));
  const auto copied = loru::emulator::statistics.cp_async - before;  // of 16 bytes, those of zeros too
  CHECK(copied >= (q.M + q.m) * q.n / 4);
  CHECK(loru::cuda::forward_form(1 << 20, q.m, q.n, q.r, 4, {400e12, 3e12}, 132) == ForwardForm::split);
}

TEST_CASE("forward: the rule between the forms") {
  using loru::cuda::forward_form;
  const loru::cuda::DeviceRates rates{400e12, 3e12};
  const auto form = [](int m, int n, int r, int size, const loru::cuda::DeviceRates& of, int M = 1 << 20) {
    return forward_form(M, m, n, r, size, of, 132);
  };
  // One pass computes S again for each 128 columns, 2 n R operations a row; split reads a row of x again, 2 n
  // bytes.
  CHECK(form(128, 4096, 64, 2, rates) == ForwardForm::one_pass);
  CHECK(form(1024, 4096, 16, 2, rates) == ForwardForm::one_pass);
  CHECK(form(2048, 4096, 16, 2, rates) == ForwardForm::split);
  CHECK(form(4096, 4096, 16, 2, rates) == ForwardForm::split);
  CHECK(form(4096, 4096, 8, 2, {100e12, 3e12}) == ForwardForm::split);
  CHECK(form(4096, 4096, 8, 2, {900e12, 3e12}) == ForwardForm::one_pass);
  CHECK(form(128, 128, 65, 2, rates) == ForwardForm::split);
  // Up to 64 columns one pass computes as many again: 128 n operations a row, against 4 n bytes (of float) of
  // split.
  CHECK(form(64, 4096, 16, 4, {400e12, 3e12}) == ForwardForm::one_pass);
  CHECK(form(64, 4096, 16, 4, {60e12, 3e12}) == ForwardForm::split);
  CHECK(form(65, 4096, 16, 4, {60e12, 3e12}) == ForwardForm::one_pass);
  // Blocks for every multiprocessor, or a short loop: 16 tiles of 64 bytes.
  CHECK(form(128, 4096, 64, 2, rates, 132 * 128) == ForwardForm::one_pass);
  CHECK(form(128, 4096, 64, 2, rates, 131 * 128) == ForwardForm::split);
  CHECK(form(128, 512, 64, 2, rates, 32) == ForwardForm::one_pass);
  CHECK(form(128, 520, 64, 2, rates, 32) == ForwardForm::split);
  CHECK(loru::cuda::forward_stages(std::size_t{228} << 10) == 4);
  CHECK(loru::cuda::forward_stages(std::size_t{164} << 10) == 3);
}
