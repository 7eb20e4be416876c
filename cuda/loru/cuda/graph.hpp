#pragma once
// A step of training recorded as a graph and started again as a whole. LORU_CUDA_GRAPH=1 in the environment
// turns it on; it wants memory that is kept (no LORU_CUDA_CACHE=0) and kernels that are not waited for.
//
// A recorded step works on the memory that it was recorded with. What it takes for itself waits in the lists
// of memory.hpp between steps, so that work in between may use it for itself too, but may keep nothing there.

#include <atomic>
#include <cstdlib>
#include <string_view>

#include <loru/cuda/device/launched.hpp>
#include <loru/cuda/memory.hpp>

namespace loru::cuda {

namespace detail {

/// Whether steps are recorded.
inline bool& record_steps() {
  static bool on = [] {
    const char* value = std::getenv("LORU_CUDA_GRAPH");
    return value && std::string_view(value) == "1";
  }();
  return on;
}

inline std::atomic<std::uint64_t>& started_graphs() {
  static std::atomic<std::uint64_t> count{0};
  return count;
}

}  // namespace detail

/// How many recorded steps this process has started so far.
inline std::uint64_t graph_launches() { return detail::started_graphs(); }

/// Runs a step again and again: the first times as it is, then recorded and started as a graph.
class Recording {
 public:
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording() { forget(); }

  /// step(), which asks the device for the same each time as long as `key` stays the same. What it does on
  /// the host besides is not done again. A step that cannot be recorded runs as it is: one that waits for the
  /// device, copies from or to the host, or draws anew; and any on the main stream while other threads of the
  /// host use it too, since their kernels would be recorded with it. Throws what step throws, CudaError.
  template <class Step>
  void run(double key, const Step& step) {
    if (!detail::record_steps() || !detail::keep_blocks() || detail::wait_for_kernels()) return step();
    detail::Blocks& blocks = detail::on_this_device<detail::Blocks>();
    const std::uint64_t trims = blocks.trims();
    if (key != key_ || trims != trims_) {  // another step, or memory of the recorded one is gone
      forget();
      key_ = key;
      trims_ = trims;
      plain_ = 0;
    }
    if (!graph_ && !refused_ && plain_ >= warm) record(step);
    if (graph_ && blocks.trims() != trims_) forget();  // by now, when it was recorded or by another thread
    if (graph_) {
      LORU_CUDA_CHECK(cudaGraphLaunch(graph_, stream_));
      ++detail::started_graphs();
      return;
    }
    step();
    ++plain_;
  }

 private:
  static constexpr int warm = 2;  // after so many steps all memory has been taken

  template <class Step>
  void record(const Step& step) {
    stream_ = current_stream();
    refused_ = detail::recording();  // a step within one that is recorded
    std::unique_lock<std::mutex> alone;
    if (!refused_ && !detail::thread_stream()) {
      alone = std::unique_lock{detail::main_stream_users().mutex};
      refused_ = detail::main_stream_users().count > 1;
    }
    if (!refused_)
      refused_ = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal) != cudaSuccess;
    if (refused_) return static_cast<void>(cudaGetLastError());
    detail::recording() = true;
    try {
      step();
    } catch (const CudaError&) {
      refused_ = true;
    } catch (...) {
      if (cudaGraph_t unused = end()) static_cast<void>(cudaGraphDestroy(unused));
      throw;
    }
    cudaGraph_t recorded = end();
    if (!recorded) refused_ = true;
    if (!refused_) {
      const cudaError_t status = cudaGraphInstantiate(&graph_, recorded, 0);
      if (status != cudaSuccess) graph_ = nullptr, refused_ = true;
    }
    if (recorded) static_cast<void>(cudaGraphDestroy(recorded));
    if (refused_) static_cast<void>(cudaGetLastError());
  }

  /// What was recorded; null if it is of no use.
  cudaGraph_t end() noexcept {
    detail::recording() = false;
    cudaGraph_t recorded = nullptr;
    if (cudaStreamEndCapture(stream_, &recorded) == cudaSuccess) return recorded;
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }

  void forget() noexcept {
    if (graph_) static_cast<void>(cudaGraphExecDestroy(graph_));
    graph_ = nullptr;
  }

  cudaGraphExec_t graph_ = nullptr;
  cudaStream_t stream_ = nullptr;
  double key_ = 0.0;
  std::uint64_t trims_ = 0;
  int plain_ = 0;         // steps of this key that ran as they are
  bool refused_ = false;  // the step cannot be recorded
};

}  // namespace loru::cuda
