#pragma once
// SHA-256 of bytes that come in pieces.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace federate {

class Sha256 {
 public:
  Sha256();
  void add(std::span<const std::byte> bytes);
  void add(const void* bytes, std::size_t count) { add({static_cast<const std::byte*>(bytes), count}); }
  /// In hexadecimal; nothing may be added afterwards. Throws loru::Error if OpenSSL failed.
  std::string hex();

  static constexpr std::size_t digits = 64;

 private:
  std::shared_ptr<void> context_;
  bool good_;
};

}  // namespace federate
