#include "cuda/kernels/attention.hpp"

TEST_CASE("attention, forward and back, bf16") { loru_test::check_attention<loru::cuda::InBf16>(); }
