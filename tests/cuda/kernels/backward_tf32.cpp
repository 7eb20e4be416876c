#include "cuda/kernels/backward_checks.hpp"

TEST_CASE("backward in one pass, tf32") { loru_test::check_one_pass<loru::cuda::InTf32>(); }
TEST_CASE("backward split at dS, tf32") {
  loru_test::check_split<loru::cuda::InTf32>(loru::cuda::BackwardForm::split);
}
TEST_CASE("backward with dS and dB apart, tf32") {
  loru_test::check_split<loru::cuda::InTf32>(loru::cuda::BackwardForm::apart);
}
