#include "bundled.hpp"

namespace federate {

std::vector<std::filesystem::path>& bundled_folders() {
#ifdef LORU_SOURCE_DIR
  const std::filesystem::path source = LORU_SOURCE_DIR;
  static std::vector<std::filesystem::path> folders{source / "data", source / "examples" / "data"};
#else
  static std::vector<std::filesystem::path> folders;
#endif
  return folders;
}

}  // namespace federate
