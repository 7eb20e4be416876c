#pragma once
// Rotary positions.

#include <loru/cuda/ops/copy.cuh>

namespace loru::cuda {

namespace detail {

/// Turns pair i: pair i % half of head i / half of the rows. The row's sequence is the last that starts at or
/// before it.
template <class T>
struct Rotate {
  T* x;
  const T* table;
  const Index* starts;
  Index sequences, row_pairs, half, offset;
  bool inverse;
  __device__ Index position(Index row) const {
    Index first = 0, last = sequences;
    while (last - first > 1) {
      const Index middle = (first + last) / 2;
      (starts[middle] <= row ? first : last) = middle;
    }
    return row - starts[first] + offset;
  }
  __device__ void operator()(Index i) const {
    const Index row = i / row_pairs, j = i % half;
    T* const pair = x + (i / half) * 2 * half + j;
    const T* const angle = table + position(row) * 2 * half + j;
    const T a = pair[0], b = pair[half], cosine = angle[0], turn = inverse ? -angle[half] : angle[half];
    pair[0] = a * cosine - b * turn;
    pair[half] = b * cosine + a * turn;
  }
};

}  // namespace detail

template <class T>
Array<T> rotary(Array<T> x, const Array<T>& table, const Sequences& sequences, bool inverse) {
  const Index width = loru::detail::rotary_width(x, table, sequences), half = width / 2;
  Array<T> y = detail::own(std::move(x), Layout::row_major);
  Tensor<Index> starts(Shape{sequences.count() + 1});
  std::copy(sequences.starts.begin(), sequences.starts.end(), starts.data());
  const Array<Index> on_device = detail::upload(starts);
  detail::for_each("rotary", y.size() / 2,
                   detail::Rotate<T>{y.data(), table.data(), on_device.data(), sequences.count(),
                                     y.dim(1) / 2, half, sequences.offset, inverse});
  return y;
}

}  // namespace loru::cuda
