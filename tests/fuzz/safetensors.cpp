// safetensors.

#include <loru/io/safetensors.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const loru::io::Archive archive = loru::io::parse(bytes, "fuzz");
  loru::io::serialise(archive);
}
