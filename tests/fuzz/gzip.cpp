// gzip, of which no more is unzipped than the first bytes ask for: here at most 65,535.

#include <algorithm>

#include <loru/data/file.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::size_t most = 64;
  const auto content = loru::data::gunzip({first, bytes.size()}, "fuzz", [&](auto begin) {
    return most = std::max<std::size_t>(64, std::size_t{begin[0]} << 8 | begin[1]);
  });
  if (content.size() > most + 1) std::abort();
}
