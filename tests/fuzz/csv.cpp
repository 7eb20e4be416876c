// Tables: CSV with quotes, and the lines of the digits.

#include <loru/data/digits.hpp>
#include <loru/io/csv.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  try {
    loru::data::parse_digits({"fuzz", {first, first + bytes.size()}});
  } catch (const loru::Error&) {}
  loru::io::parse_csv(std::string(fuzz::text(bytes)), "fuzz");
}
