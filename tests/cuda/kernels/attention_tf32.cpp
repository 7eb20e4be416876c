#include "cuda/kernels/attention.hpp"

TEST_CASE("attention, forward and back, tf32") { loru_test::check_attention<loru::cuda::InTf32>(); }
