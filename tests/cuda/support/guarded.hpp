#pragma once
// Matrices with NaN around them, for kernels that may read and write nothing else.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>
#include <loru/cuda/device/matrix.cuh>

#include "cuda/support/device_memory.hpp"

namespace loru_test {

enum class Fill { integers, random };  // exact whatever the order of sums; uniform in [-1, 1)
inline constexpr Fill all_fills[] = {Fill::integers, Fill::random};

/// A (rows, cols) matrix with leading dimension cols + pad, `offset` elements off a 64-byte boundary. NaN at
/// first, and before, behind and between its rows. It lies on the host and on the device; whoever is asked
/// for it has what was written last.
template <class T>
class Guarded {
 public:
  Guarded(int rows, int cols, int pad = 0, int offset = 0)
      : rows_(rows),
        cols_(cols),
        ld_(cols + pad),
        first_((count(cols + pad) + 127) / 64 * 64 + count(offset)),
        storage_(2 * first_ + count(rows) * count(cols + pad)),
        there_(storage_.size()) {
    std::memset(static_cast<void*>(storage_.data()), 0xff, storage_.size() * sizeof(T));
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  int rows() const { return rows_; }
  int cols() const { return cols_; }
  /// On the device.
  T* data() { return view().data; }
  loru::cuda::Matrix<T> view() {
    to_device();
    newer_ = Side::device;
    return {there_.data() + first_, rows_, cols_, ld_};
  }
  loru::cuda::Matrix<const T> read() const {
    to_device();
    return {there_.data() + first_, rows_, cols_, ld_};
  }
  /// On the host.
  T& operator()(int i, int j) {
    to_host();
    newer_ = Side::host;
    return storage_[place(i, j)];
  }
  double value(int i, int j) const {
    to_host();
    return to_double(storage_[place(i, j)]);
  }

  /// Integers in [-range, range], or uniform numbers.
  Guarded& fill(Fill kind, std::mt19937& random, int range = 2) {
    for (int i = 0; i < rows_; ++i)
      for (int j = 0; j < cols_; ++j) {
        const auto raw = static_cast<double>(random());
        const double v =
            kind == Fill::integers ? std::floor(raw * 0x1p-32 * (2 * range + 1)) - range : raw * 0x1p-31 - 1;
        (*this)(i, j) = from_double(v);
      }
    return *this;
  }

  /// True if nothing was written but the elements.
  bool intact() const {
    to_host();
    std::vector<T> whole(storage_);
    for (int i = 0; i < rows_; ++i)
      std::memset(static_cast<void*>(&whole[place(i, 0)]), 0xff, count(cols_) * sizeof(T));
    const auto* const bytes = reinterpret_cast<const unsigned char*>(whole.data());
    for (std::size_t i = 0; i < whole.size() * sizeof(T); ++i)
      if (bytes[i] != 0xff) return false;
    return true;
  }

 private:
  enum class Side { host, both, device };  // which has what was written last

  void to_device() const {
    if (newer_ != Side::host) return;
    there_.set(storage_);
    newer_ = Side::both;
  }
  void to_host() const {
    if (newer_ != Side::device) return;
    there_.get(storage_);
    newer_ = Side::both;
  }
  std::size_t place(int i, int j) const { return first_ + count(i) * count(ld_) + count(j); }

  static std::size_t count(int n) { return static_cast<std::size_t>(n); }
  static double to_double(T v) {
    if constexpr (std::is_arithmetic_v<T>)
      return static_cast<double>(v);
    else
      return loru::cuda::to_float(v);
  }
  static T from_double(double v) {
    if constexpr (std::is_arithmetic_v<T>)
      return static_cast<T>(v);
    else
      return loru::cuda::from_float<T>(static_cast<float>(v));
  }

  int rows_, cols_, ld_;
  std::size_t first_;  // elements before: a row and more
  mutable std::vector<T> storage_;
  DeviceMemory<T> there_;
  mutable Side newer_ = Side::host;
};

}  // namespace loru_test
