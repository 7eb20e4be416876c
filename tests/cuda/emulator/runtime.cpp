// The functions of the CUDA runtime that loru calls, on the host.
#include "emulator/runtime.hpp"
#include "emulator/fault.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define LORU_POISON(p, n) __asan_poison_memory_region(p, n)
#define LORU_UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define LORU_POISON(p, n) static_cast<void>(0)
#define LORU_UNPOISON(p, n) static_cast<void>(0)
#endif

struct CUstream_st {
  int device = 0;
};
struct CUevent_st {
  bool timing = false, recorded = false;
};
struct CUgraph_st {
  std::vector<std::function<void()>> work;
  bool valid = true;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

namespace loru::emulator {

namespace {

constexpr std::size_t red_zone = 256;
constexpr std::byte untouched{0xff};  // NaN in every float type

/// Red zone, data, red zone.
struct Piece {
  std::byte* data = nullptr;
  std::size_t bytes = 0, capacity = 0;
};

/// A copy between page-locked memory of the host and the device, until the device is waited for: `bytes` are
/// what is copied.
struct Copy {
  std::byte* host;
  bool to_host;
  std::vector<std::byte> bytes;
};

struct State {
  std::mutex mutex;
  std::map<const std::byte*, std::size_t> pinned;  // sizes
  std::vector<Copy> under_way;
  Faults faults;
  Inventory counts;
  std::map<const std::byte*, Piece> living;
  std::multimap<std::size_t, Piece> unused;  // by capacity
  std::size_t used = 0, reserved = 0;
  std::set<const void*> streams;
  cudaError_t last = cudaSuccess, pending = cudaSuccess;  // pending: of a kernel that failed
};

thread_local int current = 0;                // device
thread_local CUgraph_st* capture = nullptr;  // what this thread's work is recorded in

// Every tensor has a block of its own and of its size, whose ends are watched.
[[maybe_unused]] const int no_cache = ::setenv("LORU_CUDA_CACHE", "0", 0);

State& state() {
  static auto* s = new State;
  return *s;
}

cudaError_t result(cudaError_t status) {
  if (status != cudaSuccess) state().last = status;
  return status;
}

void give_to_system(State& s, const Piece& piece) {
  LORU_UNPOISON(piece.data - red_zone, piece.capacity + 2 * red_zone);
  s.reserved -= piece.capacity;
  ::operator delete(piece.data - red_zone, std::align_val_t{256});
}

/// A piece of at least `bytes`, one that was freed if it fits well, else a new one; no data if the device has
/// no more.
Piece take(State& s, std::size_t bytes) {
  const std::size_t capacity = (bytes + 511) / 512 * 512;
  if (s.used + capacity > device.memory) return {};
  if (const auto found = s.unused.lower_bound(capacity);
      found != s.unused.end() && found->first <= 2 * capacity && s.used + found->first <= device.memory) {
    const Piece piece = found->second;
    s.unused.erase(found);
    return piece;
  }
  while (s.reserved + capacity > device.memory && !s.unused.empty()) {
    const auto last = std::prev(s.unused.end());
    give_to_system(s, last->second);
    s.unused.erase(last);
  }
  void* raw = ::operator new(capacity + 2 * red_zone, std::align_val_t{256}, std::nothrow);
  if (!raw) return {};
  s.reserved += capacity;
  return {static_cast<std::byte*>(raw) + red_zone, 0, capacity};
}

/// A call that a recording does not allow: the recording is of no use then.
bool refused() {
  if (capture) capture->valid = false;
  return capture != nullptr;
}

/// True from the call on at which the countdown reaches one.
bool fails(int& countdown) {
  if (countdown == 0) return false;
  if (countdown == 1) return true;
  --countdown;
  return false;
}

bool is_pinned(const State& s, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(data);
  const auto next = s.pinned.upper_bound(at);
  return next != s.pinned.begin() && at + bytes <= std::prev(next)->first + std::prev(next)->second;
}

/// Copies that are under way arrive; of those to the device the source must still be what it was.
void arrive(State& s) {
  for (const Copy& copy : std::exchange(s.under_way, {})) {
    if (copy.to_host)
      std::copy(copy.bytes.begin(), copy.bytes.end(), copy.host);
    else if (!std::equal(copy.bytes.begin(), copy.bytes.end(), copy.host))
      runtime::report("page-locked memory was written while it was copied to the device");
  }
}

/// What a wait tells.
cudaError_t waited(State& s) {
  ++s.counts.all_synchronisations;
  arrive(s);
  return result(std::exchange(s.pending, cudaSuccess));
}

bool intact(const std::byte* first, std::size_t n) {
  return std::all_of(first, first + n, [](std::byte b) { return b == untouched; });
}

}  // namespace

Faults& faults() { return state().faults; }

Inventory inventory() {
  State& s = state();
  std::lock_guard lock{s.mutex};
  Inventory now = s.counts;
  now.allocations = static_cast<std::int64_t>(s.living.size());
  now.streams = static_cast<std::int64_t>(s.streams.size());
  return now;
}

namespace runtime {

bool due(int& countdown) { return countdown > 0 && --countdown == 0; }

bool recording() { return capture != nullptr; }

void record(std::function<void()> work) {
  ++state().counts.recorded;
  capture->work.push_back(std::move(work));
}

void check_recorded(const char* kernel, const void* parameter, std::size_t bytes) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  const auto here = reinterpret_cast<std::uintptr_t>(&lock);
  for (std::size_t at = 0; at + sizeof(void*) <= bytes; at += sizeof(void*)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, static_cast<const std::byte*>(parameter) + at, sizeof word);
    constexpr std::uintptr_t stack = std::uintptr_t{1} << 20;
    if ((word > here - stack && word < here + stack) || is_pinned(s, reinterpret_cast<const void*>(word), 1))
      report(std::string("a recorded kernel ") + kernel + " is given memory of the host");
  }
}

bool begin_launch(const char* name) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  ++s.counts.launches[name];
  result(std::exchange(s.pending, cudaSuccess));
  if (!due(s.faults.kernel)) return true;
  s.pending = cudaErrorIllegalAddress;
  return false;
}

int device_of(const void* stream) { return static_cast<const CUstream_st*>(stream)->device; }

bool on_device(const void* data, std::size_t bytes) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  const auto* at = static_cast<const std::byte*>(data);
  auto next = s.living.upper_bound(at);
  if (next == s.living.begin()) return false;
  const Piece& piece = std::prev(next)->second;
  return at + bytes <= piece.data + piece.bytes;
}

bool alive(const void* stream) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  return stream == nullptr || s.streams.count(stream) == 1;
}

void report(const std::string& misuse) { state().counts.misuse.push_back(misuse); }
void forget_misuse() { state().counts.misuse.clear(); }
void count_handle(int change) { state().counts.handles += change; }
void count_product() { ++state().counts.all_products; }

}  // namespace runtime

}  // namespace loru::emulator

using namespace loru::emulator;

extern "C" {

// ---- errors and devices ----

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorUnknown: return "unknown error";
    default: return "unrecognized error code";
  }
}

cudaError_t cudaGetLastError() { return std::exchange(state().last, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = faults().devices;
  return result(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int* device) {
  if (faults().devices == 0) return result(cudaErrorNoDevice);
  *device = current;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= faults().devices) return result(cudaErrorInvalidDevice);
  current = device;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::strcpy(p->name, "emulated device");
  p->major = 9;
  p->multiProcessorCount = 132;
  p->totalGlobalMem = device.memory;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(device.multiprocessor_memory);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(device.block_memory); break;
    case cudaDevAttrClockRate: *value = device.tells_clocks ? 1'500'000 : 0; break;
    case cudaDevAttrMemoryClockRate: *value = device.tells_clocks ? 2'000'000 : 0; break;
    case cudaDevAttrPageableMemoryAccess: *value = 0; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 5120; break;
    default: return result(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

// ---- streams and events ----

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  *stream = new CUstream_st{current};
  s.streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  if (s.streams.erase(stream) == 0) return result(cudaErrorInvalidResourceHandle);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!runtime::alive(stream)) return result(cudaErrorInvalidResourceHandle);
  if (capture) return result(cudaErrorIllegalState);
  capture = new CUgraph_st;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  if (!capture) return result(cudaErrorIllegalState);
  CUgraph_st* const recorded = std::exchange(capture, nullptr);
  *graph = recorded->valid ? recorded : nullptr;
  if (recorded->valid) return cudaSuccess;
  delete recorded;
  return result(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (!runtime::alive(stream)) return result(cudaErrorInvalidResourceHandle);
  ++state().counts.all_graphs;
  for (const auto& work : exec->work) work();
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (refused()) return result(cudaErrorStreamCaptureUnsupported);
  if (!runtime::alive(stream)) return result(cudaErrorInvalidResourceHandle);
  State& s = state();
  std::lock_guard lock{s.mutex};
  return waited(s);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t, unsigned) {
  return result(runtime::alive(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  *event = new CUevent_st{(flags & cudaEventDisableTiming) == 0, false};
  ++s.counts.events;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  delete event;
  --s.counts.events;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (!runtime::alive(stream)) return result(cudaErrorInvalidResourceHandle);
  event->recorded = true;
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  return waited(s);
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  if (!start->timing || !end->timing || !start->recorded || !end->recorded)
    return result(cudaErrorInvalidResourceHandle);
  *ms = 0.0f;
  return cudaSuccess;
}

// ---- memory ----

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = device.memory - state().used;
  *total = device.memory;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  if (bytes == 0) return result(cudaErrorInvalidValue);
  if (refused()) return result(cudaErrorStreamCaptureUnsupported);
  State& s = state();
  std::lock_guard lock{s.mutex};
  ++s.counts.all_allocations;
  if (fails(s.faults.allocation)) return result(cudaErrorMemoryAllocation);
  Piece piece = take(s, bytes);
  if (!piece.data) return result(cudaErrorMemoryAllocation);
  piece.bytes = bytes;
  std::byte* const raw = piece.data - red_zone;
  LORU_UNPOISON(raw, piece.capacity + 2 * red_zone);
  std::memset(raw, 0xff, piece.capacity + 2 * red_zone);
  if (!device.computes) std::memset(piece.data, 0, bytes);
  LORU_POISON(raw, red_zone);
  LORU_POISON(piece.data + bytes, piece.capacity - bytes + red_zone);
  s.living[piece.data] = piece;
  s.used += piece.capacity;
  *data = piece.data;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (!data) return cudaSuccess;
  if (refused()) return result(cudaErrorStreamCaptureUnsupported);
  State& s = state();
  std::lock_guard lock{s.mutex};
  const auto found = s.living.find(static_cast<const std::byte*>(data));
  if (found == s.living.end()) {
    runtime::report("memory freed that is not allocated");
    return result(cudaErrorInvalidValue);
  }
  const Piece piece = found->second;
  s.living.erase(found);
  s.used -= piece.capacity;
  std::byte *const raw = piece.data - red_zone, *const end = piece.data + piece.bytes;
  LORU_UNPOISON(raw, piece.capacity + 2 * red_zone);
  if (!intact(raw, red_zone) || !intact(end, piece.capacity - piece.bytes + red_zone))
    runtime::report("a write outside an allocation of " + std::to_string(piece.bytes) + " bytes");
  std::memset(raw, 0xff, piece.capacity + 2 * red_zone);
  LORU_POISON(raw, piece.capacity + 2 * red_zone);
  s.unused.emplace(piece.capacity, piece);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const cudaError_t status = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  return status == cudaSuccess ? cudaStreamSynchronize(nullptr) : status;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (!runtime::alive(stream)) return result(cudaErrorInvalidResourceHandle);
  if (capture) {
    if (kind != cudaMemcpyDeviceToDevice) {
      runtime::report("a copy from or to memory of the host in what is recorded");
      refused();
      return result(cudaErrorStreamCaptureUnsupported);
    }
    runtime::record([=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
  }
  ++state().counts.all_copies;
  state().counts.copies_to_device += kind == cudaMemcpyHostToDevice;
  state().counts.copies_to_host += kind == cudaMemcpyDeviceToHost;
  if (runtime::due(faults().copy)) return result(cudaErrorUnknown);
  const bool to_device = kind != cudaMemcpyDeviceToHost, from_device = kind != cudaMemcpyHostToDevice;
  if (runtime::on_device(to, bytes) != to_device || runtime::on_device(from, bytes) != from_device)
    return result(cudaErrorInvalidValue);
  State& s = state();
  std::lock_guard lock{s.mutex};
  const auto* first = static_cast<const std::byte*>(from);
  if (!to_device && is_pinned(s, to, bytes)) {
    s.under_way.push_back({static_cast<std::byte*>(to), true, {first, first + bytes}});
    std::memset(to, 0xff, bytes);
    return cudaSuccess;
  }
  if (!from_device && is_pinned(s, from, bytes))
    s.under_way.push_back({const_cast<std::byte*>(first), false, {first, first + bytes}});
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  void* raw = ::operator new(bytes, std::align_val_t{4096}, std::nothrow);
  if (!raw) return result(cudaErrorMemoryAllocation);
  std::memset(raw, 0xff, bytes);
  s.pinned[static_cast<std::byte*>(raw)] = bytes;
  ++s.counts.all_pinned;
  *data = raw;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  State& s = state();
  std::lock_guard lock{s.mutex};
  arrive(s);
  if (s.pinned.erase(static_cast<std::byte*>(data)) == 0) return result(cudaErrorInvalidValue);
  ::operator delete(data, std::align_val_t{4096});
  return cudaSuccess;
}

}  // extern "C"
