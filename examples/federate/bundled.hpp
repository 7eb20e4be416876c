#pragma once

#include <filesystem>
#include <vector>

namespace federate {

/// Folders to look for data in besides the usual ones: those of the source tree, and what an installed
/// program adds.
std::vector<std::filesystem::path>& bundled_folders();

}  // namespace federate
