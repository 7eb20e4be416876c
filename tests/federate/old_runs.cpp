// A run's folder that an earlier version wrote (tests/golden/run_7684c20: digits, logistic, fedsa_lora, two
// rounds, clients on disk) is evaluated and run again. It was written by g++ with AVX2 and FMA.

#include <loru/core/isa.hpp>
#include <loru/core/text.hpp>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

const fs::path old_run = fs::path(LORU_SOURCE_DIR) / "tests/golden/run_7684c20";

#define LORU_TEXT_OF(name) #name
#define LORU_TEXT(name) LORU_TEXT_OF(name)
#if defined(__clang__) || !defined(NDEBUG)
constexpr bool same_arithmetic = false;  // another compiler or none of its optimisations round otherwise
#else
constexpr bool same_arithmetic = std::string_view(LORU_TEXT(LORU_ISA)) == "avx2_fma";
#endif

}  // namespace

TEST_CASE("old runs: the recorded accuracy is that of the saved model") {
  const Scratch scratch;
  const auto recorded = summary(old_run);
  const Result result = federate(scratch.path, {"eval", old_run.string()});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto text = lines(result.out);
  REQUIRE(text.size() == 2);
  CHECK(text[0] == "accuracy " + loru::to_text(recorded["final_test_accuracy"].get<double>()));
  CHECK(*loru::parse_number<double>(text[1].substr(5)) ==
        Approx(recorded["final_test_loss"].get<double>()).epsilon(1e-6));
}

TEST_CASE("old runs: a configuration that was written is run again") {
  const Scratch scratch;
  const auto recorded = summary(old_run);
  const Result result =
      federate(scratch.path, {(old_run / "config.toml").string(), "--out", (scratch.path / "out").string()});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto again = summary(scratch.path / "out");
  for (const char* key : {"uplink_bytes", "downlink_bytes", "parameters_trained", "update_rank"})
    CHECK(again[key] == recorded[key]);
  CHECK(names_in(scratch.path / "out" / "clients") == names_in(old_run / "clients"));
  if (!same_arithmetic) return;
  CHECK(again["model_sha256"] == recorded["model_sha256"]);
  CHECK(again["personal_accuracy"] == recorded["personal_accuracy"]);
  for (const std::string& name : names_in(old_run / "clients"))
    CHECK(read(scratch.path / "out" / "clients" / name) == read(old_run / "clients" / name));
}
