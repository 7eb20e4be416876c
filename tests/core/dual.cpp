#include <loru/core/dual.hpp>

#include <loru/core/text.hpp>

#include "support/catch.hpp"

using namespace loru;
using D = Dual<double>;

namespace {

/// Value and derivative of f at x against f itself and its central difference.
template <class F>
void check_derivative(F f, double x) {
  const D y = f(D(x, 1.0));
  constexpr double h = 1e-6;
  CHECK(y.value == value_of(f(D(x))));
  CHECK(y.tangent == Approx((f(D(x + h)).value - f(D(x - h)).value) / (2 * h)).epsilon(1e-8).margin(1e-8));
}

}  // namespace

TEST_CASE("dual: derivatives of arithmetic and functions") {
  for (double x : {0.3, 1.7, -0.8}) {
    check_derivative([](D v) { return v * v - D(3) * v + D(2); }, x);
    check_derivative([](D v) { return (v + D(1)) / (v * v + D(2)); }, x);
    check_derivative([](D v) { return -exp(v * D(0.5)); }, x);
    check_derivative([](D v) { return tanh(v) + erf(v); }, x);
    check_derivative([](D v) { return abs(v); }, x);
    check_derivative([](D v) { return log(v * v + D(1)) + sqrt(v * v + D(1)); }, x);
  }
}

TEST_CASE("dual: compound assignment, scaled tangents, comparison by value") {
  D a(2.0, 3.0);
  a += D(1.0, 1.0);
  CHECK((a.value == 3.0 && a.tangent == 4.0));
  a *= D(2.0);
  CHECK((a.value == 6.0 && a.tangent == 8.0));
  a -= D(0.0, 8.0);
  CHECK((a.value == 6.0 && a.tangent == 0.0));
  a /= D(3.0);
  CHECK(a.value == 2.0);
  CHECK(exp(D(0.0, 5.0)).tangent == 5.0);
  CHECK(D(1.0, 9.0) == D(1.0, -9.0));
  CHECK(D(1.0, 9.0) < D(2.0, -9.0));
  CHECK(isfinite(D(1.0, 2.0)));
  CHECK_FALSE(isfinite(D(1.0, std::numeric_limits<double>::infinity())));
  STATIC_REQUIRE(std::same_as<Real<Dual<float>>, float>);
  STATIC_REQUIRE(Scalar<Dual<float>>);
  STATIC_REQUIRE_FALSE(Scalar<int>);
}

TEST_CASE("text: the nearest known word") {
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  const std::vector<std::string> known{"momentum", "learning_rate", "nesterov"};
  CHECK(nearest("learnin_rate", known) == "learning_rate");
  CHECK(nearest("nestrov", known) == "nesterov");
  CHECK(nearest("x", std::vector<std::string>{"aa", "bb"}) == "aa");
  CHECK(nearest("x", {}).empty());
  CHECK(nearest("tua", std::vector<std::string>{"mu", "tau"}) == "tau");
  CHECK(edit_distance("abcd", "badc") == 2);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}
