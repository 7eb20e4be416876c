#pragma once
// Reading little-endian values off bytes that are not trusted.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <loru/core/error.hpp>
#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::io::detail {

/// Takes values off the front of some bytes. Throws DataError with origin, byte and what was expected there
/// if they end before.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string_view origin) : bytes_{bytes}, origin_{origin} {}

  std::size_t offset() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  template <class T>
    requires std::is_arithmetic_v<T>
  T take(std::string_view what) {
    T value;
    std::memcpy(&value, take_bytes(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::span<const std::byte> take_bytes(std::uint64_t count, std::string_view what) {
    require<DataError>(count <= left(), origin_, ": byte ", at_, ": expected ", count, " bytes of ", what,
                       ", got ", left());
    const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }

  /// As many characters.
  std::string take_text(std::uint64_t count, std::string_view what) {
    const auto bytes = take_bytes(count, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  /// Throws DataError with the byte at hand unless the condition holds.
  template <class... Args>
  void check(bool condition, const Args&... expectation) const {
    require<DataError>(condition, origin_, ": byte ", at_, ": expected ", expectation...);
  }

  std::string_view origin() const { return origin_; }

 private:
  std::span<const std::byte> bytes_;
  std::string_view origin_;
  std::size_t at_ = 0;
};

}  // namespace loru::inline LORU_ISA::io::detail
