// IDX files, as arrays and as images.

#include <loru/data/idx.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  loru::data::parse_idx({"fuzz", {first, first + bytes.size()}});
}
