#include "resume.hpp"

#include "checkpoint.hpp"
#include "run_result.hpp"
#include "settings.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::ConfigError, loru::require;

namespace {

const char* const configuration_file = "config.toml";

}  // namespace

Configuration resumed(const Overrides& overrides, RunOptions& options) {
  const fs::path folder = options.out;
  const std::string file = (folder / configuration_file).string();
  require<ConfigError>(fs::exists(file), "resume: ", folder.native(), ": no run (expected config.toml)");
  options.resumption =
      std::make_shared<Resumption>(std::make_unique<FolderLock>(folder, "resume"), std::nullopt);
  const Configuration run = read_configuration(file, {});
  Configuration changed = read_configuration(file, overrides);
  require_same_run(run, changed, "resume");
  require<ConfigError>(!reached_its_end(folder, run.rounds), "resume: the run is finished");
  options.resumption->checkpoint = Checkpoints(folder).newest();
  require<ConfigError>(options.resumption->checkpoint || !fs::exists(folder / "summary.json"),
                       "resume: ", folder.native(),
                       ": the run was stopped without a checkpoint (--checkpoint-every) and would begin at "
                       "round 1: run its config.toml with another --out, or remove its summary.json first");
  return changed;
}

std::shared_ptr<Resumption> resumption_of(const fs::path& folder, const Setup& setup) {
  const fs::path file = folder / configuration_file;
  if (!fs::exists(file) || Checkpoints(folder).empty()) return nullptr;
  auto found = std::make_shared<Resumption>(std::make_unique<FolderLock>(folder, "--out"), std::nullopt);
  if (loru::io::read_text(file) != config_text(setup)) return nullptr;
  found->checkpoint = Checkpoints(folder, (folder / "").native()).newest();
  return found;
}

}  // namespace federate
