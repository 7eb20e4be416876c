#pragma once
// Tests that cannot run here say why and are counted as skipped.

namespace loru_test {

/// Prints the reason and marks this run as skipped.
void skip(const char* reason);

/// True if anything called skip().
bool skipped();

/// Set by a program whose tests all need what may be missing: gives the reason why none can run, or null.
inline const char* (*missing)() = nullptr;

}  // namespace loru_test

#define LORU_SKIP(reason)      \
  do {                         \
    ::loru_test::skip(reason); \
    return;                    \
  } while (false)
