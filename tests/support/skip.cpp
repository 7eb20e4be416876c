#include "support/skip.hpp"

#include <cstdio>

namespace loru_test {
namespace {
bool any_skipped = false;
}

void skip(const char* reason) {
  std::printf("[skipped] %s\n", reason);
  std::fflush(stdout);
  any_skipped = true;
}

bool skipped() { return any_skipped; }

}  // namespace loru_test
