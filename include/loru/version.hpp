#pragma once
// The version of the library; the build reads it from here.

#define LORU_VERSION_MAJOR 0
#define LORU_VERSION_MINOR 1
#define LORU_VERSION_PATCH 0

namespace loru {

/// "MAJOR.MINOR.PATCH", after semantic versioning.
inline constexpr char version[] = "0.1.0";

}  // namespace loru
