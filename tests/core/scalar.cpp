#include <loru/core/scalar.hpp>

#include <array>
#include <vector>

#include "support/catch.hpp"

using namespace loru;

TEST_CASE("scalar: ReLU and its gradient, at zero too") {
  CHECK(scalar::relu(2.0f) == 2.0f);
  CHECK(scalar::relu(-2.0f) == 0.0f);
  CHECK(scalar::relu_gradient(2.0, 5.0) == 5.0);
  CHECK(scalar::relu_gradient(0.0, 5.0) == 0.0);
  CHECK(scalar::relu(Dual<double>{3.0, 7.0}).tangent == 7.0);
  CHECK(scalar::relu(Dual<double>{-3.0, 7.0}).tangent == 0.0);
}

TEST_CASE("scalar: the slope of GELU is its tangent") {
  for (const double x : {-3.0, -0.5, 0.0, 0.25, 2.0}) {
    const Dual<double> y = scalar::gelu(Dual<double>{x, 1.0});
    CHECK(y.value == scalar::gelu(x));
    CHECK(y.tangent == Approx(scalar::gelu_slope(x)).margin(1e-15));
  }
  CHECK(scalar::gelu(1.0) == Approx(0.8413447460685429).epsilon(1e-14));  // Φ(1)
}

TEST_CASE("scalar: dropout keeps a word at its threshold") {
  CHECK(scalar::dropout_factor(7u, 7u, 2.0f) == 2.0f);
  CHECK(scalar::dropout_factor(6u, 7u, 2.0f) == 0.0f);
  CHECK(scalar::dropout_factor(~0u, std::uint64_t{1} << 32, 2.0f) == 0.0f);
}

TEST_CASE("scalar: the gradient of a normalisation is its tangent where the moments are constants") {
  const double mu = 0.3, scale = 1.7, beta = -0.4;
  const Dual<double> y = scalar::normalised<Dual<double>>({2.0, 1.0}, mu, scale, beta);
  CHECK(y.value == (2.0 - mu) * scale + beta);
  CHECK(y.tangent == scalar::normalised_gradient(1.0, 2.0, mu, scale, 0.0, 0.0));
  CHECK(scalar::normalised_gradient(1.0, 2.0, mu, scale, 0.5, 0.25) == scale - (0.5 + 0.25 * (2.0 - mu)));
  CHECK(scalar::inverse_deviation(0.21, 0.04) == Approx(2.0));
}

TEST_CASE("scalar: joined moments are those of all numbers") {
  const std::vector<double> x{1, 4, -2, 8, 0.5};
  const auto moments = [&](std::size_t first, std::size_t last) {
    double mean = 0.0, m2 = 0.0;
    for (std::size_t i = first; i < last; ++i) mean += x[i] / static_cast<double>(last - first);
    for (std::size_t i = first; i < last; ++i) m2 += (x[i] - mean) * (x[i] - mean);
    return std::array{mean, m2};
  };
  auto [mean, m2] = moments(0, 2);
  const auto [mean_part, m2_part] = moments(2, 5);
  scalar::join_moments(mean, m2, mean_part, m2_part, 3.0 / 5.0, 2.0 * 3.0 / 5.0);
  CHECK(mean == Approx(moments(0, 5)[0]));
  CHECK(m2 == Approx(moments(0, 5)[1]));
}

TEST_CASE("scalar: the first of equal numbers is the largest") {
  const double x[] = {1.0, 3.0, 3.0, 2.0};
  CHECK(scalar::first_largest(x, 4) == 1);
  CHECK(scalar::first_largest(x, 1) == 0);
  CHECK(scalar::cross_entropy_gradient(0.25, true, 2.0) == -1.5);
  CHECK(scalar::cross_entropy_gradient(0.25, false, 2.0) == 0.5);
  CHECK(scalar::standardised(128.0, 0.5, 60.0, 0.25) == 1.0);
}
