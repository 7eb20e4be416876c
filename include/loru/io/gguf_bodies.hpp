#pragma once
// Bodies of gguf.hpp.

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <utility>

#include <loru/core/error.hpp>
#include <loru/io/detail/byte_reader.hpp>
#include <loru/io/file.hpp>
#include <loru/io/gguf.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

/// The parts of a GGUF file, in their order.
class GgufReader {
 public:
  GgufReader(std::vector<std::byte>&& bytes, std::string_view origin)
      : bytes_{std::make_shared<const std::vector<std::byte>>(std::move(bytes))}, reader_{*bytes_, origin} {
    file_.origin = origin;
  }

  Gguf read() {
    reader_.check(reader_.left() >= 4 && reader_.take_text(4, "magic") == "GGUF", "the magic GGUF");
    const auto version = reader_.take<std::uint32_t>("version");
    reader_.check(version == 3, "version 3, got ", version);
    const auto tensors = reader_.take<std::uint64_t>("the number of tensors");
    const auto pairs = reader_.take<std::uint64_t>("the number of pairs");
    for (std::uint64_t i = 0; i < pairs; ++i) read_pair();
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
    place_tensors();
    return std::move(file_);
  }

 private:
  enum Type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

  struct Unplaced {
    std::string name;
    BlockTensor tensor;
    std::uint64_t offset;
    std::size_t declared_at;
  };

  std::string read_text(std::string_view what) {
    return reader_.take_text(reader_.take<std::uint64_t>(what), what);
  }

  bool read_flag() {
    const auto byte = reader_.take<std::uint8_t>("true or false");
    reader_.check(byte <= 1, "true or false as 1 or 0, got ", int{byte});
    return byte == 1;
  }

  void read_pair() {
    std::string key = read_text("a key");
    reader_.check(!key.empty() && key.size() < 65536, "a key of 1 to 65535 bytes, got ", key.size());
    const auto type = reader_.take<std::uint32_t>("a type");
    GgufValue value = read_value(type, 0);
    reader_.check(file_.metadata.emplace(key, std::move(value)).second, "each key once, got '",
                  key.substr(0, 80), "' twice");
  }

  template <class T, class Wide>
  Wide number() {
    return static_cast<Wide>(reader_.take<T>("a number"));
  }

  /// f(element) reads one of `count` elements of at least `bytes` each.
  template <class V, class F>
  std::vector<V> list(std::uint64_t count, std::size_t bytes, const F& element) {
    reader_.check(count <= reader_.left() / bytes, "an array of ", count, " values of at least ", bytes,
                  " bytes, got ", reader_.left(), " bytes");
    std::vector<V> values;
    values.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(element());
    return values;
  }

  GgufValue read_value(std::uint32_t type, int depth) {
    switch (type) {
      case u8: return {number<std::uint8_t, std::uint64_t>()};
      case u16: return {number<std::uint16_t, std::uint64_t>()};
      case u32: return {number<std::uint32_t, std::uint64_t>()};
      case u64: return {number<std::uint64_t, std::uint64_t>()};
      case i8: return {number<std::int8_t, std::int64_t>()};
      case i16: return {number<std::int16_t, std::int64_t>()};
      case i32: return {number<std::int32_t, std::int64_t>()};
      case i64: return {number<std::int64_t, std::int64_t>()};
      case f32: return {number<float, double>()};
      case f64: return {number<double, double>()};
      case boolean: return {read_flag()};
      case text: return {read_text("a string")};
      case array: return read_array(depth + 1);
      default:
        fail<DataError>(file_.origin, ": byte ", reader_.offset(), ": expected a type in 0 .. 12, got ",
                        type);
    }
  }

  GgufValue read_array(int depth) {
    reader_.check(depth <= 4, "arrays at most 4 deep, got more");
    const auto type = reader_.take<std::uint32_t>("a type");
    const auto count = reader_.take<std::uint64_t>("the length of an array");
    using U = std::uint64_t;
    using I = std::int64_t;
    switch (type) {
      case u8: return {list<U>(count, 1, [&] { return number<std::uint8_t, U>(); })};
      case u16: return {list<U>(count, 2, [&] { return number<std::uint16_t, U>(); })};
      case u32: return {list<U>(count, 4, [&] { return number<std::uint32_t, U>(); })};
      case u64: return {list<U>(count, 8, [&] { return number<U, U>(); })};
      case i8: return {list<I>(count, 1, [&] { return number<std::int8_t, I>(); })};
      case i16: return {list<I>(count, 2, [&] { return number<std::int16_t, I>(); })};
      case i32: return {list<I>(count, 4, [&] { return number<std::int32_t, I>(); })};
      case i64: return {list<I>(count, 8, [&] { return number<I, I>(); })};
      case f32: return {list<double>(count, 4, [&] { return number<float, double>(); })};
      case f64: return {list<double>(count, 8, [&] { return number<double, double>(); })};
      case boolean: return {list<bool>(count, 1, [&] { return read_flag(); })};
      case text: return {list<std::string>(count, 8, [&] { return read_text("a string"); })};
      default: return {list<GgufValue>(count, 12, [&] { return read_value(type, depth); })};
    }
  }

  void read_tensor() {
    Unplaced entry;
    entry.declared_at = reader_.offset();
    entry.name = read_text("a tensor's name");
    const auto rank = reader_.take<std::uint32_t>("a tensor's rank");
    reader_.check(rank >= 1 && rank <= 4, "1 to 4 extents of tensor ", entry.name.substr(0, 80), ", got ",
                  rank);
    std::uint64_t extents[4], room = std::uint64_t{1} << 56;
    for (std::uint32_t i = 0; i < rank; ++i) {
      extents[i] = reader_.take<std::uint64_t>("an extent");
      reader_.check(extents[i] >= 1 && extents[i] <= room,
                    "extents from 1, with less than 2^56 weights, of tensor ", entry.name.substr(0, 80),
                    ", got ", extents[i]);
      room /= extents[i];
    }
    for (std::uint32_t i = rank; i-- > 0;) entry.tensor.shape.push_back(static_cast<Index>(extents[i]));
    const auto type = reader_.take<std::uint32_t>("a tensor's type");
    const auto known = std::ranges::find(block_formats, type, &BlockFormat::gguf);
    reader_.check(known != std::end(block_formats), "type F32, F16, BF16, Q8_0, Q4_0 or Q4_1 of tensor ",
                  entry.name.substr(0, 80), ", got number ", type);
    reader_.check(extents[0] % static_cast<std::uint64_t>(known->weights) == 0, "rows of a multiple of ",
                  known->weights, " weights of ", known->name, " tensor ", entry.name.substr(0, 80), ", got ",
                  extents[0]);
    entry.tensor.type = static_cast<BlockType>(known - std::begin(block_formats));
    entry.offset = reader_.take<std::uint64_t>("a tensor's place");
    unplaced_.push_back(std::move(entry));
  }

  /// Tensors lie one after the other from a multiple of the alignment; none goes past the end of the file.
  void place_tensors() {
    const Index alignment =
        file_.has("general.alignment") ? file_.whole("general.alignment", 8, Index{1} << 30) : 32;
    reader_.check(alignment % 8 == 0, "general.alignment to be a multiple of 8, got ", alignment);
    const auto step = static_cast<std::uint64_t>(alignment);
    const std::uint64_t begin = (reader_.offset() + step - 1) / step * step;
    for (Unplaced& entry : unplaced_) {
      BlockTensor& tensor = entry.tensor;
      const auto size = static_cast<std::uint64_t>(tensor.rows() * tensor.row_bytes());
      const std::uint64_t there = bytes_->size() > begin ? bytes_->size() - begin : 0;
      const auto where = [&] {
        return concat(file_.origin, ": byte ", entry.declared_at, ": tensor ", entry.name.substr(0, 80));
      };
      if (entry.offset % step != 0)
        fail<DataError>(where(), ": expected a place that is a multiple of ", step, ", got ", entry.offset);
      if (entry.offset > there || size > there - entry.offset)
        fail<DataError>(where(), ": expected ", size, " bytes from ", entry.offset, " within the ", there,
                        " bytes of data");
      tensor.bytes = std::span{*bytes_}.subspan(static_cast<std::size_t>(begin + entry.offset),
                                                static_cast<std::size_t>(size));
      tensor.owner = bytes_;
      const std::string name = where();
      require<DataError>(file_.tensors.emplace(std::move(entry.name), std::move(tensor)).second, name,
                         ": expected each name once, got it twice");
    }
  }

  std::shared_ptr<const std::vector<std::byte>> bytes_;
  ByteReader reader_;
  Gguf file_;
  std::vector<Unplaced> unplaced_;
};

}  // namespace detail

LORU_INLINE Gguf Gguf::parse(std::vector<std::byte>&& bytes, std::string_view origin) {
  return detail::GgufReader{std::move(bytes), origin}.read();
}

LORU_INLINE Gguf Gguf::load(const std::filesystem::path& path) {
  return parse(read_file(path), path.native());
}

LORU_INLINE const GgufValue& Gguf::value(std::string_view key) const {
  const auto found = metadata.find(key);
  require<DataError>(found != metadata.end(), origin, ": expected the key ", key,
                     " in the metadata, got none");
  return found->second;
}

template <class V>
const V& Gguf::as(std::string_view key, std::string_view expectation) const {
  const V* own = std::get_if<V>(&value(key).value);
  require<DataError>(own, origin, ": ", key, ": expected ", expectation, ", got another type");
  return *own;
}

LORU_INLINE const std::string& Gguf::text(std::string_view key) const {
  return as<std::string>(key, "a string");
}
LORU_INLINE bool Gguf::flag(std::string_view key) const { return as<bool>(key, "true or false"); }
LORU_INLINE double Gguf::number(std::string_view key) const { return as<double>(key, "a number"); }
LORU_INLINE const std::vector<std::string>& Gguf::texts(std::string_view key) const {
  return as<std::vector<std::string>>(key, "an array of strings");
}
LORU_INLINE const std::vector<double>& Gguf::numbers(std::string_view key) const {
  return as<std::vector<double>>(key, "an array of numbers");
}

LORU_INLINE Index Gguf::whole(std::string_view key, Index least, Index most) const {
  std::int64_t number = -1;
  if (const auto* natural = std::get_if<std::uint64_t>(&value(key).value))
    number = static_cast<std::int64_t>(std::min<std::uint64_t>(
        *natural, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())));
  else
    number = as<std::int64_t>(key, "a whole number");
  require<DataError>(number >= least && number <= most, origin, ": ", key, ": expected a whole number in ",
                     least, " .. ", most, ", got ", number);
  return static_cast<Index>(number);
}

LORU_INLINE std::vector<std::int64_t> Gguf::wholes(std::string_view key) const {
  if (const auto* natural = std::get_if<std::vector<std::uint64_t>>(&value(key).value)) {
    std::vector<std::int64_t> numbers;
    for (const std::uint64_t x : *natural)
      numbers.push_back(static_cast<std::int64_t>(
          std::min<std::uint64_t>(x, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))));
    return numbers;
  }
  return as<std::vector<std::int64_t>>(key, "an array of whole numbers");
}

LORU_INLINE const BlockTensor& Gguf::tensor(std::string_view name) const {
  const auto found = tensors.find(name);
  require<DataError>(found != tensors.end(), origin, ": expected a tensor named '", name,
                     "', got none among ", tensors.size());
  return found->second;
}

}  // namespace loru::inline LORU_ISA::io
