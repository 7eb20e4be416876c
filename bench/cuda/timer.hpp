#pragma once
// Times work on the device by events: warm-up, a second-level cache emptied before each repetition, the
// median.

#include <algorithm>
#include <vector>

#include <loru/cuda/device.hpp>

namespace loru_bench {

using namespace loru;

class Timer {
 public:
  explicit Timer(int repetitions) : repetitions_{repetitions}, flush_(Shape{flush_bytes()}) {}

  /// Median microseconds of f(), which queues work on this thread's stream.
  template <class F>
  double microseconds(F f) {
    for (int i = 0; i < warm_up; ++i) f();
    std::vector<float> times;
    const cudaStream_t stream = cuda::current_stream();
    for (int i = 0; i < repetitions_; ++i) {
      LORU_CUDA_CHECK(cudaMemsetAsync(flush_.data(), i, static_cast<std::size_t>(flush_.size()), stream));
      const cuda::Event begin(true), end(true);
      begin.record(stream);
      f();
      end.record(stream);
      end.synchronize();
      times.push_back(1e3f * end.since(begin));
    }
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }

 private:
  static constexpr int warm_up = 3;

  /// Twice the second-level cache.
  static Index flush_bytes() {
    cuda::require_device();
    int device = 0, cache = 0;
    LORU_CUDA_CHECK(cudaGetDevice(&device));
    LORU_CUDA_CHECK(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device));
    return 2 * std::max<Index>(cache, Index{1} << 20);
  }

  int repetitions_;
  cuda::Array<std::uint8_t> flush_;
};

}  // namespace loru_bench
