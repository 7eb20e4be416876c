#pragma once
// The JSON header of a safetensors file: types, shapes and places of the tensors.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <loru/io/archive.hpp>
#include <loru/io/detail/json_text.hpp>

namespace loru::io::detail {

/// Where a tensor stands: its bytes are [begin, end) of the data that follows the header.
struct Place {
  DType dtype;
  Shape shape;
  std::size_t begin, end;
  std::size_t declared_at;  // byte offset of its key, for errors
};

struct Header {
  std::map<std::string, std::string, std::less<>> metadata;
  std::map<std::string, Place, std::less<>> tensors;
};

/// Reads headers. Throws DataError with origin, byte offset and expectation.
class HeaderReader {
 public:
  /// `text` begins at byte 8 of `origin`; `data_bytes` follow it.
  HeaderReader(std::string_view text, std::size_t data_bytes, std::string_view origin)
      : scanner_{text, 8, origin}, data_bytes_{data_bytes}, origin_{origin} {}

  Header read() {
    Header header;
    bool metadata_seen = false;
    object([&](std::string key, std::size_t at) {
      if (key == "__metadata__") {
        check(!std::exchange(metadata_seen, true), at, "'__metadata__' once, got it twice");
        return metadata(header);
      }
      check(header.tensors.find(key) == header.tensors.end(), at, "each name once, got '", key, "' twice");
      Place place = tensor(key, at);
      header.tensors.emplace(std::move(key), std::move(place));
    });
    if (!scanner_.done()) scanner_.unexpected("the end of the header");
    check_contiguous(header);
    return header;
  }

 private:
  template <class... Args>
  void check(bool condition, std::size_t at, const Args&... expectation) const {
    require<DataError>(condition, origin_, ": byte ", at, ": expected ", expectation...);
  }

  /// { key: member(key, offset of the key), ... }
  template <class Member>
  void object(Member&& member) {
    scanner_.expect('{');
    if (scanner_.take('}')) return;
    do {
      static_cast<void>(scanner_.done());  // skips space, so that the offset is that of the key
      const std::size_t at = scanner_.offset();
      std::string key = scanner_.string("a key");
      scanner_.expect(':');
      member(std::move(key), at);
    } while (scanner_.take(','));
    scanner_.expect('}');
  }

  /// [ natural, ... ]
  std::vector<std::int64_t> naturals(const char* what) {
    std::vector<std::int64_t> values;
    scanner_.expect('[');
    if (scanner_.take(']')) return values;
    do values.push_back(scanner_.natural(what));
    while (scanner_.take(','));
    scanner_.expect(']');
    return values;
  }

  void metadata(Header& header) {
    object([&](std::string key, std::size_t at) {
      std::string value = scanner_.string("a metadata value");
      const bool fresh = header.metadata.emplace(key, std::move(value)).second;
      check(fresh, at, "each metadata key once, got '", key, "' twice");
    });
  }

  Place tensor(const std::string& name, std::size_t declared_at) {
    Place place{DType::u8, {}, 0, 0, declared_at};
    bool dtype = false, shape = false, offsets = false;
    object([&](const std::string& key, std::size_t at) {
      bool* seen = key == "dtype"          ? &dtype
                   : key == "shape"        ? &shape
                   : key == "data_offsets" ? &offsets
                                           : nullptr;
      check(seen, at, "dtype, shape or data_offsets of tensor ", name, ", got '", key, "'");
      check(!std::exchange(*seen, true), at, "'", key, "' of tensor ", name, " once, got it twice");
      if (seen == &dtype) place.dtype = this->dtype(name, at);
      if (seen == &shape) place.shape = this->shape(name, at);
      if (seen == &offsets) std::tie(place.begin, place.end) = this->offsets(name, at);
    });
    check(dtype && shape && offsets, declared_at, "dtype, shape and data_offsets of tensor ", name,
          ", got not all of them");
    check_size(name, place);
    return place;
  }

  DType dtype(const std::string& name, std::size_t at) {
    const std::string text = scanner_.string("a dtype");
    for (DType candidate : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8})
      if (text == to_string(candidate)) return candidate;
    fail<DataError>(origin_, ": byte ", at, ": expected dtype F32, F64, I32, I64 or U8 of tensor ", name,
                    ", got '", text, "'");
  }

  Shape shape(const std::string& name, std::size_t at) {
    const auto extents = naturals("an extent");
    check(extents.size() <= static_cast<std::size_t>(Shape::max_rank), at, "at most ", Shape::max_rank,
          " extents of tensor ", name, ", got ", extents.size());
    Shape shape;
    std::int64_t room =
        std::numeric_limits<std::int64_t>::max() / 8;  // elements that can be counted in bytes
    for (std::int64_t extent : extents) {
      check(extent <= room, at, "a shape of tensor ", name, " with less than 2^60 elements, got more");
      if (extent > 0) room /= extent;
      shape.push_back(static_cast<Index>(extent));
    }
    return shape;
  }

  std::pair<std::size_t, std::size_t> offsets(const std::string& name, std::size_t at) {
    const auto range = naturals("an offset");
    check(range.size() == 2, at, "two data_offsets of tensor ", name, ", got ", range.size());
    const auto begin = static_cast<std::size_t>(range[0]), end = static_cast<std::size_t>(range[1]);
    check(begin <= end && end <= data_bytes_, at, "data_offsets of tensor ", name, " within the ",
          data_bytes_, " bytes of data, got [", begin, ", ", end, "]");
    return {begin, end};
  }

  void check_size(const std::string& name, const Place& place) const {
    const auto expected = static_cast<std::size_t>(place.shape.size()) * size_of(place.dtype);
    check(place.end - place.begin == expected, place.declared_at, expected, " bytes for shape ", place.shape,
          " of ", to_string(place.dtype), " tensor ", name, ", got ", place.end - place.begin);
  }

  /// The tensors cover the data without holes or overlaps.
  void check_contiguous(const Header& header) const {
    std::vector<const std::pair<const std::string, Place>*> order;
    for (const auto& item : header.tensors) order.push_back(&item);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return std::pair{a->second.begin, a->second.end} < std::pair{b->second.begin, b->second.end};
    });
    std::size_t end = 0;
    for (const auto* item : order) {
      const Place& place = item->second;
      check(place.begin == end, place.declared_at, "data of tensor ", item->first, " to begin at ", end,
            ", got ", place.begin, place.begin < end ? " (an overlap)" : " (a hole)");
      end = place.end;
    }
    check(end == data_bytes_, 8 + header_bytes() + end, "the end after the last tensor, got ",
          data_bytes_ - end, " bytes more");
  }

  std::size_t header_bytes() const { return scanner_.offset() - 8; }

  JsonScanner scanner_;
  std::size_t data_bytes_;
  std::string_view origin_;
};

/// The header of an archive with its length before it: the tensors' data follow in name order. Padded with
/// spaces so that the data begin at a multiple of 8. Throws DataError if a name or metadata string is not
/// UTF-8.
inline std::string write_header(const Archive& archive) {
  std::string json = "{";
  const auto& metadata = archive.metadata();
  if (!metadata.empty()) json += "\"__metadata__\":{";
  for (const auto& [key, value] : metadata)
    json += json_string(key, "metadata key") + ':' + json_string(value, "metadata " + key) + ',';
  if (!metadata.empty()) json.back() = '}', json += ',';
  std::size_t begin = 0;
  for (const auto& [name, raw] : archive.tensors()) {
    const std::size_t end = begin + raw.bytes.size();
    json += json_string(name, "tensor name") + ":{\"dtype\":\"" + to_string(raw.dtype) + "\",\"shape\":[";
    for (Index extent : raw.shape) json += std::to_string(extent) + ',';
    if (raw.shape.rank() > 0) json.pop_back();
    json += "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]},";
    begin = end;
  }
  if (json.size() > 1) json.pop_back();
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>((json.size() >> (8 * i)) & 0xFF);
  return length + json;
}

}  // namespace loru::io::detail
