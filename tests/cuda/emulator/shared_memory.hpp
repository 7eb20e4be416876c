#pragma once
// A block's shared memory: NaN at first, exact in size, fenced by red zones, watched for races.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "emulator/fault.hpp"

namespace loru::emulator {

/// Who touched two bytes of shared memory since the last block barrier. A toucher is a thread's number,
/// several threads of one warp, or several warps.
struct Touch {
  static constexpr std::uint16_t nobody = 0xffff, warps = 0xfffe, lanes_of = 0x4000;  // lanes_of + warp

  std::uint32_t epoch = 0;  // of the block; what is older counts as never
  std::uint16_t writer = nobody, reader = nobody;
  std::uint16_t write_line = 0, read_line = 0;
  std::uint16_t write_sync = 0, read_sync = 0;  // how often the toucher's warp had synchronised, modulo 2^16

  std::uint64_t state() const { return epoch | std::uint64_t{writer} << 32 | std::uint64_t{reader} << 48; }
};
static_assert(sizeof(Touch) == 16);

/// A thread that touches shared memory, and how often its warp has synchronised.
struct Toucher {
  int thread;
  std::uint16_t sync;
  bool whole_warp = false;  // lanes other than the thread's own get the value, too
};

/// An access with which another one races.
struct Race {
  const char* kind;
  unsigned line;
  std::ptrdiff_t offset;
  std::string text() const {
    return concat("race with the ", kind, " in line ", line, " at offset ", offset,
                  ": no barrier between them");
  }
};

class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : bytes_(bytes), memory_(bytes + 2 * red_zone + alignment) {
    const auto first = reinterpret_cast<std::uintptr_t>(memory_.data()) + red_zone;
    data_ = reinterpret_cast<std::byte*>((first + alignment - 1) / alignment * alignment);
    if (options.races) touches_.resize((bytes + 1) / 2);
  }

  std::byte* data() { return data_; }
  std::size_t size() const { return bytes_; }

  /// For the next block: all NaN, touched by nobody.
  void renew() {
    std::fill(memory_.begin(), memory_.end(), nan);
    ++epoch_;
  }
  /// A barrier of the whole block: what was touched before it no longer races.
  void barrier() { ++epoch_; }

  /// aligned_to is a power of two.
  bool holds(const void* p, int bytes, int aligned_to) const {
    const auto offset = static_cast<const std::byte*>(p) - data_;
    return offset >= 0 && offset + bytes <= static_cast<std::ptrdiff_t>(bytes_) &&
           (offset & (aligned_to - 1)) == 0;
  }
  /// Why an access of `bytes` at `p`, which holds() denies, is none.
  std::string wrong_access(const void* p, int bytes, int aligned_to) const {
    const auto offset = static_cast<const std::byte*>(p) - data_;
    const auto end = static_cast<std::ptrdiff_t>(bytes_);
    if (offset < 0 || offset + bytes > end)
      return concat("expected ", bytes, " bytes within the ", end, " of shared memory, got offset ", offset);
    return concat("expected a shared address aligned to ", aligned_to, ", got offset ", offset);
  }

  /// Notes an access. Nothing, or the race: two threads at one place, one of them writing, no barrier between
  /// them, whatever order they ran in.
  std::optional<Race> touch(const void* p, int bytes, bool write, const Toucher& who, unsigned line) {
    if (touches_.empty()) return {};
    const auto offset = static_cast<const std::byte*>(p) - data_;
    const auto first = offset / 2, last = (offset + bytes - 1) / 2;
    const std::uint16_t me = name(who);
    for (auto i = first; i <= last; ++i) {
      Touch& t = touches_[static_cast<std::size_t>(i)];
      // Most reads: several warps have read here, and nobody has written. There is nothing to learn.
      if (!write && t.state() == Touch{epoch_, Touch::nobody, Touch::warps}.state()) continue;
      if (t.epoch != epoch_) t = {.epoch = epoch_};
      if (races(t.writer, t.write_sync, who, me)) return Race{"write", t.write_line, i * 2};
      if (write && races(t.reader, t.read_sync, who, me)) return Race{"read", t.read_line, i * 2};
      if (write) {
        t.writer = me, t.write_sync = who.sync, t.write_line = static_cast<std::uint16_t>(line);
      } else {
        t.reader = joined(t.reader, t.read_sync, who, me), t.read_sync = who.sync;
        t.read_line = static_cast<std::uint16_t>(line);
      }
    }
    return {};
  }

  bool red_zones_intact() const {
    const auto intact = [](const std::byte* from, const std::byte* to) {
      return std::all_of(from, to, [](std::byte b) { return b == nan; });
    };
    return intact(memory_.data(), data_) && intact(data_ + bytes_, memory_.data() + memory_.size());
  }

  static constexpr std::byte nan{0xff};  // NaN in every float type

 private:
  static constexpr std::size_t red_zone = 256, alignment = 128;

  static std::uint16_t name(const Toucher& who) {
    return static_cast<std::uint16_t>(who.whole_warp ? Touch::lanes_of + who.thread / 32 : who.thread);
  }
  static int warp_of(std::uint16_t toucher) {
    return toucher >= Touch::lanes_of ? toucher - Touch::lanes_of : toucher / 32;
  }
  static bool races(std::uint16_t before, std::uint16_t before_sync, const Toucher& who, std::uint16_t me) {
    if (before == Touch::nobody || before == me) return false;
    if (before == Touch::warps || warp_of(before) != who.thread / 32) return true;
    return before_sync == who.sync;
  }
  static std::uint16_t joined(std::uint16_t before, std::uint16_t before_sync, const Toucher& who,
                              std::uint16_t me) {
    if (before == Touch::nobody || before == me) return me;
    if (before == Touch::warps || warp_of(before) != who.thread / 32) return Touch::warps;
    return before_sync == who.sync ? static_cast<std::uint16_t>(Touch::lanes_of + who.thread / 32) : me;
  }

  std::size_t bytes_;
  std::vector<std::byte> memory_;
  std::byte* data_;
  std::vector<Touch> touches_;
  std::uint32_t epoch_ = 0;
};

}  // namespace loru::emulator
