// Plans are part of what a bundled federation is: another plan gives another model.

#include <map>
#include <sstream>

#include <loru/cpu/rates.hpp>
#include <loru/lowrank/rates.hpp>

#include "program.hpp"

using namespace loru_test;

namespace {

// of each factored layer, in the model's order
using Plans = std::vector<std::pair<std::string, std::string>>;

constexpr const char *factored = "factored", *composed = "composed", *full = "composed_full";

const Plans quickstart{{"conv2", full}, {"fc1", factored}};

/// In files of the same names, without their ending.
const std::map<std::string, Plans> expected{
    {"cifar100_resnet18",
     {{"layer1.0.conv1", full},
      {"layer1.0.conv2", full},
      {"layer1.1.conv1", full},
      {"layer1.1.conv2", full},
      {"layer2.0.conv1", full},
      {"layer2.0.conv2", full},
      {"layer2.0.downsample.0", full},
      {"layer2.1.conv1", full},
      {"layer2.1.conv2", full},
      {"layer3.0.conv1", full},
      {"layer3.0.conv2", composed},
      {"layer3.0.downsample.0", full},
      {"layer3.1.conv1", composed},
      {"layer3.1.conv2", composed},
      {"layer4.0.conv1", composed},
      {"layer4.0.conv2", factored},
      {"layer4.0.downsample.0", full},
      {"layer4.1.conv1", factored},
      {"layer4.1.conv2", factored}}},
    {"cifar10_resnet10",
     {{"layer1.0.conv1", full},
      {"layer1.0.conv2", full},
      {"layer2.0.conv1", full},
      {"layer2.0.conv2", full},
      {"layer2.0.downsample.0", full},
      {"layer3.0.conv1", full},
      {"layer3.0.conv2", composed},
      {"layer3.0.downsample.0", full},
      {"layer4.0.conv1", composed},
      {"layer4.0.conv2", factored},
      {"layer4.0.downsample.0", full}}},
    {"digits", {{"fc2", factored}}},
    {"fmnist_resnet10_fedloru",
     {{"layer1.0.conv1", full},
      {"layer1.0.conv2", full},
      {"layer2.0.conv1", composed},
      {"layer2.0.conv2", composed},
      {"layer2.0.downsample.0", full},
      {"layer3.0.conv1", composed},
      {"layer3.0.conv2", composed},
      {"layer3.0.downsample.0", full},
      {"layer4.0.conv1", composed},
      {"layer4.0.conv2", factored},
      {"layer4.0.downsample.0", composed}}},
    {"million", {{"fc1", factored}, {"fc2", factored}}},
    {"omniglot", quickstart},
    {"quickstart", quickstart},
    {"quickstart_dirichlet", quickstart},
    {"quickstart_fedavg", {}},
    {"quickstart_fedlora", quickstart},
    {"quickstart_fedmud", quickstart},
};

/// First and last word of each row of the table that --explain prints.
Plans shown(const std::string& text) {
  const auto rows = lines(text);
  Plans plans;
  for (std::size_t i = 1; i + 1 < rows.size(); ++i)
    plans.emplace_back(rows[i].substr(0, rows[i].find(' ')), rows[i].substr(rows[i].rfind(' ') + 1));
  return plans;
}

}  // namespace

TEST_CASE("every layer of every bundled federation keeps its plan, by either measured or scaled table") {
  const Scratch scratch;
  for (const auto& [name, rates] :
       {std::pair{"avx512", loru::cpu::avx512_rates}, std::pair{"avx2", loru::cpu::avx2_rates}}) {
    const std::string table = (scratch.path / "rates.toml").string();
    write(table, loru::lowrank::to_toml(rates));
    for (const auto& entry : fs::directory_iterator(bundled)) {
      if (entry.path().extension() != ".toml") continue;
      if (of_texts(entry.path())) continue;  // their plans follow from texts that a clone has not
      const std::string file = entry.path().stem().string();
      CAPTURE(name, file);
      REQUIRE(expected.contains(file));
      const Result result =
          federate(scratch.path, {entry.path().string(), "--explain", "--set", "lowrank.rates=" + table});
      CAPTURE(result.err);
      REQUIRE(result.code == 0);
      CHECK(shown(result.out) == expected.at(file));
    }
  }
}
