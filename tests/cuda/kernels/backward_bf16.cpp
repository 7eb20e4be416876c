#include "cuda/kernels/backward_checks.hpp"

TEST_CASE("backward in one pass, bf16") { loru_test::check_one_pass<loru::cuda::InBf16>(); }
TEST_CASE("backward split at dS, bf16") {
  loru_test::check_split<loru::cuda::InBf16>(loru::cuda::BackwardForm::split);
}
TEST_CASE("backward with dS and dB apart, bf16") {
  loru_test::check_split<loru::cuda::InBf16>(loru::cuda::BackwardForm::apart);
}

TEST_CASE("backward of a layer without outputs is zero") {
  loru_test::compare_in_every_order([](loru_test::Comparison& seen) {
    loru_test::BackwardProblem<loru::cuda::InBf16> p({5, 0, 9, 2, 7}, loru_test::Fill::random);
    using T = __nv_bfloat16;
    loru::cuda::lora_backward_dx<loru::cuda::InBf16>(
        loru::cuda::BackwardDx<T, loru::cuda::OneClient<T>>{
            p.dy.read(), p.W.read(), {p.client(), 5, 128}, p.dx.view(), p.dS.view()},
        2, false, nullptr);
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 9; ++j) seen.see(p.dx.value(i, j), 0, 0, "dx", i, j);
      for (int q = 0; q < 2; ++q) seen.see(p.dS.value(i, q), 0, 0, "dS", i, q);
    }
    seen.intact(p.dx, p.dS);
  });
}
