#pragma once
// The CUDA runtime and cuBLAS of the emulated device: what exists, what tests may make fail, what was done
// wrong.
//
// Work is done when it is queued, but copies to page-locked memory of the host, which arrive when the device
// is waited for; while a copy from there is under way the memory may not be written. Device memory is host
// memory that starts as NaN, has red zones and is never given to two owners; copies are checked for their
// direction and bounds. Two devices share all that but their streams.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace loru::emulator {

/// What fails from now on. The k-th call from now (1 is the next) fails once; 0 is never. Of allocations
/// those after it fail too. A kernel fails while nobody looks: the runtime tells when the stream is waited
/// for or the next one starts.
struct Faults {
  int devices = 1;
  int allocation = 0, copy = 0, product = 0, kernel = 0;
};

/// What is alive, and what was counted since the program began.
struct Inventory {
  std::int64_t allocations = 0, streams = 0, events = 0, handles = 0;
  std::int64_t all_allocations = 0, all_copies = 0, all_products = 0, all_synchronisations = 0;
  std::int64_t all_pinned = 0;                            // allocations of page-locked memory
  std::int64_t all_graphs = 0, recorded = 0;              // graphs started; what was recorded for them
  std::int64_t copies_to_device = 0, copies_to_host = 0;  // of all_copies
  std::map<std::string, std::int64_t> launches;           // by the kernel's name
  /// Misuse that no error code can tell, such as writes outside of an allocation.
  std::vector<std::string> misuse;
};

Faults& faults();
Inventory inventory();

namespace runtime {

/// True once if the countdown reaches zero with this call.
bool due(int& countdown);
/// Begins a launch: the failure of a kernel before it becomes the last error. False if this kernel is to
/// fail.
bool begin_launch(const char* name);
/// The device that a stream was made on.
int device_of(const void* stream);
/// True if [data, data + bytes) lies in one living allocation of the device.
bool on_device(const void* data, std::size_t bytes);
bool alive(const void* stream);
/// Whether the work of this thread is recorded, not done; adds work to what is recorded.
bool recording();
void record(std::function<void()> work);
/// Reports a parameter of a recorded kernel that points to memory of the host: to this thread's stack or to
/// page-locked memory.
void check_recorded(const char* kernel, const void* parameter, std::size_t bytes);
void report(const std::string& misuse);
void forget_misuse();
void count_handle(int change);
void count_product();

}  // namespace runtime

}  // namespace loru::emulator
