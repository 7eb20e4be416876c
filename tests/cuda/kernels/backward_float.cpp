#include "cuda/kernels/backward_checks.hpp"

TEST_CASE("backward in one pass, float") { loru_test::check_one_pass<loru::cuda::InFloat>(); }
TEST_CASE("backward split at dS, float") {
  loru_test::check_split<loru::cuda::InFloat>(loru::cuda::BackwardForm::split);
}
TEST_CASE("backward with dS and dB apart, float") {
  loru_test::check_split<loru::cuda::InFloat>(loru::cuda::BackwardForm::apart);
}
