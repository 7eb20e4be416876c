#pragma once
// The JSON header of a safetensors file: types, shapes and places of the tensors.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/io/archive.hpp>
#include <loru/io/detail/json.hpp>
#include <loru/io/detail/json_text.hpp>

namespace loru::inline LORU_ISA::io::detail {

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

/// Reads headers from the events of nlohmann's parser. The events come in the order of the text, so that a
/// key given twice is noticed and integers never pass through doubles. Throws DataError with origin, byte
/// offset and expectation.
class HeaderReader {
 public:
  /// `text` begins at byte 8 of `origin`; `data_bytes` follow it.
  HeaderReader(std::string_view text, std::size_t data_bytes, std::string_view origin)
      : text_{text}, stream_{std::string(text)}, data_bytes_{data_bytes}, origin_{origin} {}

  Header read() {
    const std::size_t nul = text_.find('\0');  // would end the text for the parser
    check(nul == text_.npos, 8 + nul, "JSON, got byte 0");
    parse_json(stream_, *this);  // true: what fails throws
    check_contiguous();
    return std::move(header_);
  }

  bool start_object(std::size_t) {
    next();
    if (in_ != In::nothing && in_ != In::header) unexpected();
    if (in_ == In::nothing)
      in_ = In::header;
    else
      in_ = name_ == "__metadata__" ? In::metadata : In::tensor;
    return true;
  }

  bool key(std::string& text) {
    next();
    if (in_ == In::header)
      begin_member(std::move(text));
    else if (in_ == In::metadata)
      begin_metadata(std::move(text));
    else
      begin_field(text);
    return true;
  }

  bool end_object() {
    next();
    if (in_ == In::tensor) end_tensor();
    in_ = in_ == In::header ? In::nothing : In::header;
    return true;
  }

  bool start_array(std::size_t) {
    next();
    if (in_ != In::tensor || field_ == Field::dtype) unexpected();
    in_ = In::list;
    list_.clear();
    return true;
  }

  bool end_array() {
    next();
    if (field_ == Field::shape)
      set_shape();
    else
      set_offsets();
    in_ = In::tensor;
    return true;
  }

  bool string(std::string& text) {
    next();
    if (in_ == In::metadata)
      header_.metadata[key_] = std::move(text);
    else if (in_ == In::tensor && field_ == Field::dtype)
      set_dtype(text);
    else
      unexpected();
    return true;
  }

  bool number_unsigned(std::uint64_t value) {
    next();
    if (in_ != In::list) unexpected();
    constexpr std::int64_t limit = std::numeric_limits<std::int64_t>::max();
    check(value <= static_cast<std::uint64_t>(limit), at_, element(), " below 2^63, got a larger one");
    list_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  /// A fraction, an exponent, or an integer that 64 bits do not hold.
  bool number_float(double, const std::string& text) {
    next();
    if (in_ != In::list || text.front() == '-') unexpected();
    check(text.find_first_of(".eE") == text.npos, at_, element(),
          " (an integer), got a fraction or exponent");
    fail<DataError>(origin_, ": byte ", at_, ": expected ", element(), " below 2^63, got a larger one");
  }

  bool number_integer(std::int64_t) { refuse(); }  // has a minus sign
  bool boolean(bool) { refuse(); }
  bool null() { refuse(); }
  bool binary(JsonTypes::binary_t&) { refuse(); }  // never in text

  /// `position` counts from 1 and is that of the last byte read.
  bool parse_error(std::size_t position, const std::string& token, const JsonTypes::exception& error) {
    constexpr int number_overflow = 406;
    if (error.id == number_overflow) return number_float(0, token);
    // "[tag] parse error at line and column: reason; last read: 'token'; expected this or that", where token
    // may be any bytes, and many.
    std::string reason = error.what();
    const std::string read = concat("; last read: '", token, "'");
    if (const std::size_t at = reason.find(read); at != reason.npos) reason.erase(at, read.size());
    reason.erase(0, reason.find(": ") + 2);
    fail<DataError>(origin_, ": byte ", 8 + position - 1, ": expected JSON, got ", found(position - 1), ": ",
                    reason);
  }

 private:
  enum class In { nothing, header, metadata, tensor, list };
  enum class Field { dtype, shape, offsets };

  template <class... Args>
  void check(bool condition, std::size_t at, const Args&... expectation) const {
    require<DataError>(condition, origin_, ": byte ", at, ": expected ", expectation...);
  }

  /// Each event calls this first: at_ becomes the offset of the token that it is about. The parser has read
  /// that token, and one byte more after a number.
  void next() {
    at_ = 8 + text_.find_first_not_of(" \n\r\t,:", read_);
    read_ = text_.size() - static_cast<std::size_t>(stream_.rdbuf()->in_avail());
  }

  std::string found(std::size_t place) const {
    if (place >= text_.size()) return "the end of the header";
    const char c = text_[place];
    return c > ' ' && c < '\x7F' ? concat("'", c, "'")
                                 : concat("byte ", static_cast<int>(static_cast<unsigned char>(c)));
  }

  const char* element() const { return field_ == Field::shape ? "an extent" : "an offset"; }

  /// A value of a type that stands nowhere in a header.
  [[noreturn]] void refuse() {
    next();
    unexpected();
  }

  /// Throws: the token does not belong here.
  [[noreturn]] void unexpected() const {
    const std::string expectation = in_ == In::metadata      ? "a metadata value (a string)"
                                    : in_ == In::list        ? concat(element(), " (an integer >= 0)")
                                    : in_ == In::header      ? "'{'"
                                    : field_ == Field::dtype ? "a dtype (a string)"
                                                             : "'['";
    fail<DataError>(origin_, ": byte ", at_, ": expected ", expectation, ", got ", found(at_ - 8));
  }

  void begin_member(std::string name) {
    name_ = std::move(name);
    if (name_ == "__metadata__") {
      check(!std::exchange(metadata_seen_, true), at_, "'__metadata__' once, got it twice");
    } else {
      check(header_.tensors.find(name_) == header_.tensors.end(), at_, "each name once, got '", name_,
            "' twice");
      place_ = {DType::u8, {}, 0, 0, at_};
      seen_.clear();
    }
  }

  void begin_metadata(std::string key) {
    key_ = std::move(key);
    check(header_.metadata.emplace(key_, "").second, at_, "each metadata key once, got '", key_, "' twice");
  }

  void begin_field(const std::string& key) {
    constexpr std::string_view fields[] = {"dtype", "shape", "data_offsets"};  // as in Field
    const auto known = std::find(std::begin(fields), std::end(fields), key);
    check(known != std::end(fields), at_, "dtype, shape or data_offsets of tensor ", name_, ", got '", key,
          "'");
    field_ = static_cast<Field>(known - std::begin(fields));
    field_at_ = at_;
    check(seen_.insert(field_).second, at_, "'", key, "' of tensor ", name_, " once, got it twice");
  }

  void end_tensor() {
    check(seen_.size() == 3, place_.declared_at, "dtype, shape and data_offsets of tensor ", name_,
          ", got not all of them");
    check_size(name_, place_);
    header_.tensors.emplace(name_, place_);
  }

  void set_dtype(const std::string& text) {
    for (DType candidate : dtypes)
      if (text == to_string(candidate)) {
        place_.dtype = candidate;
        return;
      }
    fail<DataError>(origin_, ": byte ", field_at_,
                    ": expected dtype F32, F64, I32, I64, U8, I8, F16 or BF16 of tensor ", name_, ", got '",
                    text, "'");
  }

  void set_shape() {
    check(list_.size() <= static_cast<std::size_t>(Shape::max_rank), field_at_, "at most ", Shape::max_rank,
          " extents of tensor ", name_, ", got ", list_.size());
    std::int64_t room =
        std::numeric_limits<std::int64_t>::max() / 8;  // elements that can be counted in bytes
    for (std::int64_t extent : list_) {
      check(extent <= room, field_at_, "a shape of tensor ", name_,
            " with less than 2^60 elements, got more");
      if (extent > 0) room /= extent;
      place_.shape.push_back(static_cast<Index>(extent));
    }
  }

  void set_offsets() {
    check(list_.size() == 2, field_at_, "two data_offsets of tensor ", name_, ", got ", list_.size());
    const auto begin = static_cast<std::size_t>(list_[0]), end = static_cast<std::size_t>(list_[1]);
    check(begin <= end && end <= data_bytes_, field_at_, "data_offsets of tensor ", name_, " within the ",
          data_bytes_, " bytes of data, got [", begin, ", ", end, "]");
    place_.begin = begin;
    place_.end = end;
  }

  void check_size(const std::string& name, const Place& place) const {
    const auto expected = static_cast<std::size_t>(place.shape.size()) * size_of(place.dtype);
    check(place.end - place.begin == expected, place.declared_at, expected, " bytes for shape ", place.shape,
          " of ", to_string(place.dtype), " tensor ", name, ", got ", place.end - place.begin);
  }

  /// The tensors cover the data without holes or overlaps.
  void check_contiguous() const {
    std::vector<const std::pair<const std::string, Place>*> order;
    for (const auto& item : header_.tensors) order.push_back(&item);
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
    check(end == data_bytes_, 8 + text_.size() + end, "the end after the last tensor, got ",
          data_bytes_ - end, " bytes more");
  }

  std::string_view text_;
  std::istringstream stream_;  // what the parser has not read of the text
  std::size_t data_bytes_;
  std::string_view origin_;
  Header header_;

  std::size_t at_ = 8;    // offset in the origin of the token at hand
  std::size_t read_ = 0;  // bytes of the text that the parser has read
  In in_ = In::nothing;
  bool metadata_seen_ = false;
  std::string name_;      // of the tensor at hand, with:
  Place place_{};         //   what is known of it
  std::set<Field> seen_;  //   its fields so far
  Field field_{};         //   the field at hand
  std::size_t field_at_ = 8;
  std::vector<std::int64_t> list_;  // extents or offsets
  std::string key_;                 // of the metadata at hand
};

/// The text that describes a tensor whose bytes are [begin, end) of the data.
inline std::string describe(const RawTensor& raw, std::size_t begin, std::size_t end) {
  std::string shape;
  for (const Index extent : raw.shape) {
    if (!shape.empty()) shape += ',';
    shape += std::to_string(extent);
  }
  return concat("{\"data_offsets\":[", begin, ",", end, "],\"dtype\":\"", to_string(raw.dtype),
                "\",\"shape\":[", shape, "]}");
}

/// The header of an archive with its length before it: keys stand in the order of their bytes, and so do the
/// tensors' data that follow. Padded with spaces so that the data begin at a multiple of 8. Throws DataError
/// if a name or metadata string is not UTF-8.
inline std::string write_header(const Archive& archive) {
  std::map<std::string_view, std::string> members;  // as JSON
  std::string metadata;
  for (const auto& [key, value] : archive.metadata()) {
    if (!metadata.empty()) metadata += ',';
    metadata += quoted(key, "metadata key");
    metadata += ':';
    metadata += quoted(value, "metadata " + key);
  }
  if (!metadata.empty()) members["__metadata__"] = "\"__metadata__\":{" + metadata + "}";
  std::size_t begin = 0;
  for (const auto& [name, raw] : archive.tensors()) {
    const std::size_t end = begin + raw.size_bytes();
    members[name] = quoted(name, "tensor name") + ":" + describe(raw, begin, end);
    begin = end;
  }
  std::string json = "{";
  for (const auto& [name, member] : members) {
    if (json.size() > 1) json += ',';
    json += member;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>((json.size() >> (8 * i)) & 0xFF);
  return length + json;
}

}  // namespace loru::inline LORU_ISA::io::detail
