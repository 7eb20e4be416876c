#include <loru/core/half.hpp>

#include <cmath>
#include <limits>

#include <Eigen/Core>

#include <loru/core/rng.hpp>

#include "support/catch.hpp"

using namespace loru;

namespace {

template <class Theirs>
std::uint16_t bits_of(float x) {
  return Eigen::numext::bit_cast<std::uint16_t>(static_cast<Theirs>(x));
}

/// Every 16-bit number as float, and every float at, next to and between neighbours back.
template <class Ours, class Theirs>
void check_all() {
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    Ours ours;
    ours.bits = static_cast<std::uint16_t>(i);
    const auto theirs = Eigen::numext::bit_cast<Theirs>(ours.bits);
    const float x = static_cast<float>(ours);
    if (std::isnan(x)) {
      REQUIRE(std::isnan(static_cast<float>(theirs)));
      REQUIRE(std::isnan(static_cast<float>(Ours(x))));
      continue;
    }
    REQUIRE(std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(static_cast<float>(theirs)));
    REQUIRE(Ours(x).bits == ours.bits);
    ours.bits = static_cast<std::uint16_t>(i + 1);
    const float next = static_cast<float>(ours), middle = 0.5f * x + 0.5f * next;
    for (const float y : {middle, std::nextafter(middle, infinity), std::nextafter(middle, -infinity),
                          std::nextafter(x, infinity), std::nextafter(x, -infinity)})
      if (!std::isnan(y)) REQUIRE(Ours(y).bits == bits_of<Theirs>(y));
  }
}

template <class Ours, class Theirs>
void check_random() {
  rng::Stream stream(1, rng::Purpose::synthetic);
  for (int i = 0; i < 100000; ++i) {
    const float x = std::bit_cast<float>(stream.bits());
    if (!std::isnan(x)) REQUIRE(Ours(x).bits == bits_of<Theirs>(x));
  }
}

}  // namespace

TEST_CASE("half: every number of 16 bits and the floats around it") {
  check_all<Half, Eigen::half>();
  check_random<Half, Eigen::half>();
  CHECK(static_cast<float>(Half(65504.0f)) == 65504.0f);
  CHECK(std::isinf(static_cast<float>(Half(65520.0f))));
  CHECK(Half(65519.996f).bits == 0x7bff);
  CHECK(Half(0x1p-25f).bits == 0);  // a tie, to even
  CHECK(Half(0x1.000002p-25f).bits == 1);
  CHECK(Half(-0.0f).bits == 0x8000);
}

TEST_CASE("half: the upper half of a float, likewise") {
  check_all<BFloat16, Eigen::bfloat16>();
  check_random<BFloat16, Eigen::bfloat16>();
  CHECK(BFloat16(1.00390625f).bits == 0x3f80);  // a tie, to even
  CHECK(BFloat16(-0.0f).bits == 0x8000);
}
