#pragma once
// Catch2 2.13 and 3 behind one include. Tests include this header and name no version.
//
//   TEST_CASE, SECTION, GENERATE, TEMPLATE_TEST_CASE   as in Catch2
//   Approx                                             in the global namespace
//   LORU_SKIP("reason")                                leaves the test, which is then counted as skipped
//
// Two tags mean something to the build: [slow] becomes a ctest label, [serial] runs alone.

#include <string>

#include "support/skip.hpp"

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_approx.hpp>
#include <catch2/catch_message.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
using Catch::Approx;
namespace loru_test {
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
}  // namespace loru_test
#else
#include <catch2/catch.hpp>
namespace loru_test {
inline auto ContainsSubstring(const std::string& text) { return Catch::Matchers::Contains(text); }
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
}  // namespace loru_test
#endif
