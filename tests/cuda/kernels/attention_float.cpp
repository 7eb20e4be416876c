#include "cuda/kernels/attention.hpp"

TEST_CASE("attention, forward and back, float") { loru_test::check_attention<loru::cuda::InFloat>(); }
