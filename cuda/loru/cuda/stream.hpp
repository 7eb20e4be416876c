#pragma once
// Streams and events, and the current stream of a thread: the one that its ops run on.
//
// All threads start on the device's main stream, so that work is ordered as the program orders it. A
// StreamScope gives its thread a stream of its own: the new stream waits for the old one at the scope's
// begin, the old one for the new one at its end. Tensors from outside the scope must outlive it; those made
// inside may leave it.

#include <mutex>
#include <utility>

#include <loru/cuda/runtime.hpp>

namespace loru::cuda {

/// A queue of work on the device.
class Stream {
 public:
  Stream() {
    require_device();
    LORU_CUDA_CHECK(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking));
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  /// Waits for its work: memory that it used last is given to others from then on.
  ~Stream() {
    static_cast<void>(cudaStreamSynchronize(handle_));
    static_cast<void>(cudaStreamDestroy(handle_));
  }

  cudaStream_t handle() const { return handle_; }
  /// Waits until all work queued so far is done. Throws CudaError for a fault of that work.
  void synchronize() const { LORU_CUDA_CHECK(cudaStreamSynchronize(handle_)); }

 private:
  cudaStream_t handle_ = nullptr;
};

/// A point in a stream's work.
class Event {
 public:
  /// Events that are only waited for need no clock.
  explicit Event(bool timing = false) {
    LORU_CUDA_CHECK(cudaEventCreateWithFlags(&handle_, timing ? cudaEventDefault : cudaEventDisableTiming));
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { static_cast<void>(cudaEventDestroy(handle_)); }

  /// Marks the end of what the stream holds now.
  void record(cudaStream_t stream) const { LORU_CUDA_CHECK(cudaEventRecord(handle_, stream)); }
  /// Holds back later work of the stream until the mark is reached.
  void hold(cudaStream_t stream) const { LORU_CUDA_CHECK(cudaStreamWaitEvent(stream, handle_, 0)); }
  /// Waits on the host until the mark is reached.
  void synchronize() const { LORU_CUDA_CHECK(cudaEventSynchronize(handle_)); }
  /// Milliseconds from `start` to this event; both with timing and reached.
  float since(const Event& start) const {
    float ms = 0.0f;
    LORU_CUDA_CHECK(cudaEventElapsedTime(&ms, start.handle_, handle_));
    return ms;
  }

 private:
  cudaEvent_t handle_ = nullptr;
};

namespace detail {

inline Stream& main_stream() { return on_this_device<Stream>(); }

inline cudaStream_t& thread_stream() {
  thread_local cudaStream_t stream = nullptr;  // null: the main stream
  return stream;
}

/// The living threads that have used the main stream. Whoever holds the mutex holds back the first use by
/// another one.
struct MainStreamUsers {
  std::mutex mutex;
  int count = 0;
};
/// Never destroyed: threads may end after main has returned.
inline MainStreamUsers& main_stream_users() {
  static auto* users = new MainStreamUsers;
  return *users;
}

/// Counts this thread among them, once, until it ends.
inline void use_main_stream() {
  struct Use {
    Use() { add(1); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { add(-1); }
    static void add(int change) {
      std::lock_guard lock{main_stream_users().mutex};
      main_stream_users().count += change;
    }
  };
  thread_local bool counted = false;  // outlives `use`: buffers of other thread_local objects go later
  if (counted) [[likely]]
    return;
  thread_local const Use use;
  counted = true;
}

/// Work queued on `later` from now on waits for what `earlier` holds now.
inline void order(cudaStream_t earlier, cudaStream_t later) {
  const Event mark;
  mark.record(earlier);
  mark.hold(later);
}

/// Whether this thread's work is being recorded (graph.hpp).
inline bool& recording() {
  thread_local bool on = false;
  return on;
}

/// Throws CudaError while a step is recorded: for what cannot be done again as it is.
inline void require_not_recording(const char* what) {
  if (recording())
    throw CudaError(cudaErrorStreamCaptureUnsupported,
                    concat("cuda: ", what, ": expected no step that is recorded"));
}

}  // namespace detail

/// The stream that this thread's ops run on. Throws NoDevice.
inline cudaStream_t current_stream() {
  if (const cudaStream_t mine = detail::thread_stream()) return mine;
  detail::use_main_stream();
  return detail::main_stream().handle();
}

/// Waits until this thread's stream is done. Throws CudaError for a fault of its work.
inline void synchronize() {
  detail::require_not_recording("synchronize");
  LORU_CUDA_CHECK(cudaStreamSynchronize(current_stream()));
}

/// Makes a stream the current one of this thread for as long as it lives.
class StreamScope {
 public:
  explicit StreamScope(const Stream& stream)
      : outer_{current_stream()}, inner_{stream.handle()}, previous_{detail::thread_stream()} {
    detail::order(outer_, inner_);
    detail::thread_stream() = inner_;
  }
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;
  /// Ends the program if the device is lost: nothing ordered could follow.
  ~StreamScope() {
    detail::thread_stream() = previous_;
    detail::order(inner_, outer_);
  }

 private:
  cudaStream_t outer_, inner_, previous_;
};

}  // namespace loru::cuda
