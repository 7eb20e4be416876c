#pragma once
// The 8x8 digits: a real set small enough to come with the library (examples/data/digits.csv.gz).

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/file.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/select.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// The whole numbers of one comma-separated line; empty if a field is something else.
inline std::vector<Index> parse_numbers(std::string_view line) {
  std::vector<Index> numbers;
  const char *at = line.data(), *end = line.data() + line.size();
  for (;;) {
    Index number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{}) return {};
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != ',') return {};
    at = next + 1;
  }
}

}  // namespace detail

/// Reads lines of 64 pixels in 0..16 and a label in 0..9. Throws DataError naming path, byte and line.
inline Dataset read_digits(const std::filesystem::path& path) {
  const Content file = read_content(path);
  Dataset set{"digits", {1, 8, 8}, 10, std::vector<std::uint8_t>{}, {}, {}, {1.0 / 16.0, {0.3058}, {0.3764}}};
  auto& features = std::get<std::vector<std::uint8_t>>(set.features);
  const std::string_view text{reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()};
  std::size_t begin = 0;
  for (Index line = 1; begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view row = text.substr(begin, end - begin);
    if (row.ends_with('\r')) row.remove_suffix(1);
    const std::vector<Index> numbers = detail::parse_numbers(row);
    bool good = numbers.size() == 65 && numbers[64] >= 0 && numbers[64] <= 9;
    for (std::size_t i = 0; good && i < 64; ++i) good = numbers[i] >= 0 && numbers[i] <= 16;
    require<DataError>(good, file.at(static_cast<Index>(begin)), ": line ", line,
                       ": expected 64 pixels in 0..16 and a label in 0..9, got \"", row.substr(0, 40), "\"");
    for (std::size_t i = 0; i < 64; ++i) features.push_back(static_cast<std::uint8_t>(numbers[i]));
    set.labels().push_back(static_cast<std::int32_t>(numbers[64]));
    begin = end + 1;
  }
  require<DataError>(set.size() > 0, file.at(0), ": expected lines of digits, got an empty file");
  set.check();
  return set;
}

/// 1,797 handwritten digits, 8x8, 10 classes (Alpaydin and Kaynak, UCI 1998). Every fifth sample (index % 5
/// == 4) is test. Searched as locate says, then in ./examples/data and `also`. Mean and deviation: of the
/// training samples.
inline Split digits(const Path& dir = {}, std::span<const Path> also = {}) {
  const FileSet files{"digits", {"digits.csv"}, {}, {"examples/data"}, "`./dev data digits`"};
  const Folder folder = locate(files, dir, also);
  const Dataset all = read_digits(folder.file("digits.csv"));
  std::vector<Index> train, test;
  for (Index i = 0; i < all.size(); ++i) (i % 5 == 4 ? test : train).push_back(i);
  return {select(all, train), select(all, test)};
}

}  // namespace loru::data
