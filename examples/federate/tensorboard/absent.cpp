#include "../tensorboard.hpp"

#include <loru/core/error.hpp>

namespace federate {

void require_tensorboard() {
  loru::fail<loru::ConfigError>(
      "tracking.tensorboard: built without protobuf and Boost.CRC (CMake's option LORU_WITH_TENSORBOARD)");
}

std::unique_ptr<EventFile> begin_events(const std::filesystem::path&, const EventSizes&) {
  require_tensorboard();
  return nullptr;
}

}  // namespace federate
