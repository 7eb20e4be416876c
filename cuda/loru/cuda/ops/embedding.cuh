#pragma once
// Rows gathered from a table, and their gradient by sorted segments.

#include <numeric>

#include <loru/cuda/ops/labels.cuh>

namespace loru::cuda {

namespace detail {

template <class T>
struct GatherRow {
  const T* table;
  const std::int32_t* rows;
  T* y;
  Index n;
  __device__ void operator()(Index i) const { y[i] = table[rows[i / n] * n + i % n]; }
};

/// Places sorted by the row that they read, each row's in their order: segment s is order[starts[s]] up to
/// order[starts[s + 1]), all of them of row rows[s].
class Segments {
 public:
  explicit Segments(const Tensor<std::int32_t>& read) {
    const std::int32_t* row = read.data();
    std::vector<std::int32_t> order(static_cast<std::size_t>(read.size())), starts, rows;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [row](std::int32_t a, std::int32_t b) { return row[a] < row[b]; });
    for (std::size_t i = 0; i < order.size(); ++i)
      if (i == 0 || row[order[i]] != row[order[i - 1]]) {
        starts.push_back(static_cast<std::int32_t>(i));
        rows.push_back(row[order[i]]);
      }
    starts.push_back(static_cast<std::int32_t>(order.size()));
    places_ = static_cast<Index>(order.size());
    count_ = static_cast<Index>(rows.size());
    Tensor<std::int32_t> all(Shape{places_ + 2 * count_ + 1});
    std::copy(rows.begin(), rows.end(),
              std::copy(starts.begin(), starts.end(), std::copy(order.begin(), order.end(), all.data())));
    table_ = upload(all);
  }
  Index count() const { return count_; }
  const std::int32_t* order() const { return table_.data(); }
  const std::int32_t* starts() const { return order() + places_; }
  const std::int32_t* rows() const { return starts() + count_ + 1; }

 private:
  Index places_, count_;
  Labels table_;
};

/// Column i % n of the sum of segment i / n, in the order of its places.
template <class T>
struct SegmentSum {
  const T* dy;
  const std::int32_t *order, *starts, *rows;
  T* d;
  Index n;
  __device__ void operator()(Index i) const {
    const Index segment = i / n, j = i % n;
    T sum = T(0);
    for (std::int32_t at = starts[segment]; at < starts[segment + 1]; ++at)
      sum += dy[static_cast<Index>(order[at]) * n + j];
    d[rows[segment] * n + j] = sum;
  }
};

}  // namespace detail

template <class T>
Array<T> embedding(const Array<T>& table, const Labels& rows) {
  loru::detail::check_embedding("embedding", table.shape(), rows.shape());
  if (const auto bad = detail::first_outside("embedding", rows, table.dim(0)))
    loru::detail::fail_row("embedding", bad->label, bad->place, table.dim(0));
  const Index n = table.dim(1);
  Array<T> y(Shape{rows.size(), n});
  detail::for_each("embedding", y.size(), detail::GatherRow<T>{table.data(), rows.data(), y.data(), n});
  return y;
}

/// The host sorts the places, so that every row's gradient is one sum in a fixed order, without atomics.
template <class T>
Array<T> embedding_backward(const Array<T>& dy, const Labels& rows, const Shape& table) {
  constexpr auto where = "embedding_backward";
  loru::detail::check_embedding(where, table, rows.shape());
  require<ShapeError>(dy.shape() == Shape{rows.size(), table[1]}, where, ": expected dy of shape (",
                      rows.size(), ", ", table[1], "), got ", dy.shape());
  Tensor<std::int32_t> read(rows.shape());
  copy_to_host(read, rows);
  for (Index i = 0; i < read.size(); ++i)
    if (read.data()[i] < 0 || read.data()[i] >= table[0])
      loru::detail::fail_row(where, read.data()[i], i, table[0]);
  Array<T> d(table);
  fill(d, T(0));
  const detail::Segments segments(read);
  const Index n = table[1];
  detail::for_each(
      where, segments.count() * n,
      detail::SegmentSum<T>{dy.data(), segments.order(), segments.starts(), segments.rows(), d.data(), n});
  return d;
}

}  // namespace loru::cuda
