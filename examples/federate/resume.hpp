#pragma once
// Going on with a run that was stopped.

#include <filesystem>

#include "configuration.hpp"

namespace federate {

/// The configuration of the run in the folder options.out, and what it goes on from in options.resumption:
/// its newest checkpoint, or round 1. The overrides may change where the data lie and nothing else. Throws
/// loru::Error for a folder without a run, with a finished one, with one that was stopped without a
/// checkpoint or in use, for another configuration and if no checkpoint is whole.
Configuration resumed(const Overrides& overrides, RunOptions& options);

/// What the setup's run in the folder goes on from; nothing if the folder has no checkpoint of this
/// configuration. Throws as resume does.
std::shared_ptr<Resumption> resumption_of(const std::filesystem::path& folder, const Setup& setup);

}  // namespace federate
