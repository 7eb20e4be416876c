#include "cuda/kernels/backward_checks.hpp"

TEST_CASE("backward in one pass, bf16") { loru_test::check_one_pass<loru::cuda::InBf16>(); }
TEST_CASE("backward split at dS, bf16") { loru_test::check_split<loru::cuda::InBf16>(); }
