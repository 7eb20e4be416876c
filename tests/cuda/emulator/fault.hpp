#pragma once
// What the emulator reports, and where in a kernel's source it saw it.
#include <atomic>
#include <cstdint>
#include <string>
#include <loru/core/error.hpp>

namespace loru::emulator {

/// False where nvcc compiles the tests for a device.
#ifdef __CUDACC__
inline constexpr bool present = false;
#else
inline constexpr bool present = true;
#endif

/// A fault of the kernel that is running: kernel, block, thread, what it did, file and line.
class Fault : public Error {
 public:
  using Error::Error;
};

/// An operation in a kernel's source.
struct Site {
  const char* what;
  const char* file;
  unsigned line;
  bool operator==(const Site& other) const {
    return line == other.line && same(what, other.what) && same(file, other.file);
  }
  std::string text() const { return concat(what, " at ", file, ":", line); }

  static bool same(const char* a, const char* b) { return a == b || std::string_view(a) == b; }
};

/// In which order the threads of a block run between two barriers: warps and lanes upwards, downwards, or at
/// random.
enum class Order { forward, reverse, shuffled };
inline constexpr Order all_orders[] = {Order::forward, Order::reverse, Order::shuffled};

/// How launches run on this OS thread.
struct Options {
  Order order = Order::forward;
  std::uint64_t seed = 1;  // of Order::shuffled
  bool races = true;       // watch shared memory for races
  bool banks =
      false;  // count the bank conflicts of plain shared accesses; those of ldmatrix are always counted
};
inline thread_local constinit Options options;

/// The device that is emulated, in bytes; tests may change it.
struct Device {
  std::size_t block_memory = std::size_t{227} << 10;           // shared memory that a block may have
  std::size_t multiprocessor_memory = std::size_t{228} << 10;  // and all blocks of a multiprocessor
  std::size_t memory = std::size_t{4} << 30;
  /// False: launches and products are checked and counted and not done, and new memory is zero. For what a
  /// large model asks of the device.
  bool computes = true;
  bool tells_clocks = true;  // else its clock rates are zero
};
inline Device device;

/// What launches did since the program began, or since the caller set a counter back.
struct Statistics {
  std::atomic<std::int64_t> launches{0}, threads{0}, barriers{0}, mma{0}, ldmatrix{0}, cp_async{0},
      bank_conflicts{0};
};
inline Statistics statistics;

}  // namespace loru::emulator

// The caller's file and line, as last parameters of the operations that report them.
#define LORU_HERE const char *file = __builtin_FILE(), unsigned line = __builtin_LINE()
