#pragma once
// Matrices with NaN around them, for kernels that may read and write nothing else.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>
#include <loru/cuda/device/matrix.cuh>

namespace loru_test {

enum class Fill { integers, random };  // exact whatever the order of sums; uniform in [-1, 1)
inline constexpr Fill all_fills[] = {Fill::integers, Fill::random};

/// A (rows, cols) matrix with leading dimension cols + pad, `offset` elements off a 64-byte boundary. NaN at
/// first, and before, behind and between its rows.
template <class T>
class Guarded {
 public:
  Guarded(int rows, int cols, int pad = 0, int offset = 0)
      : rows_(rows),
        cols_(cols),
        ld_(cols + pad),
        zone_(count(cols + pad) + 64),
        storage_(count(rows) * count(cols + pad) + 2 * zone_ + 64) {
    std::memset(static_cast<void*>(storage_.data()), 0xff, storage_.size() * sizeof(T));
    const auto first = reinterpret_cast<std::uintptr_t>(storage_.data() + zone_);
    data_ = reinterpret_cast<T*>((first + 63) / 64 * 64) + offset;
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  int rows() const { return rows_; }
  int cols() const { return cols_; }
  T* data() { return data_; }
  loru::cuda::Matrix<T> view() { return {data_, rows_, cols_, ld_}; }
  loru::cuda::Matrix<const T> read() const { return {data_, rows_, cols_, ld_}; }
  T& operator()(int i, int j) { return data_[count(i) * count(ld_) + count(j)]; }
  double value(int i, int j) const { return to_double(data_[count(i) * count(ld_) + count(j)]); }

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
    std::vector<T> whole(storage_);
    const auto first = static_cast<std::size_t>(data_ - storage_.data());
    for (int i = 0; i < rows_; ++i)
      std::memset(static_cast<void*>(&whole[first + count(i) * count(ld_)]), 0xff, count(cols_) * sizeof(T));
    const auto* const bytes = reinterpret_cast<const unsigned char*>(whole.data());
    for (std::size_t i = 0; i < whole.size() * sizeof(T); ++i)
      if (bytes[i] != 0xff) return false;
    return true;
  }

 private:
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
  std::size_t zone_;  // a row and more
  std::vector<T> storage_;
  T* data_;
};

}  // namespace loru_test
