#pragma once
// Some numbers of a tensor and their positions.

#include <algorithm>
#include <limits>
#include <numeric>

#include <loru/fl/message/codec.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

inline std::string index_name(std::string_view tensor) { return std::string(tensor) + ".index"; }
inline std::string value_name(std::string_view tensor) { return std::string(tensor) + ".value"; }

}  // namespace detail

/// ⌈keep·size⌉, at least 1.
inline Index kept_numbers(double keep, Index size) {
  return std::clamp(static_cast<Index>(std::ceil(keep * static_cast<double>(size))), Index{1}, size);
}

/// Whether `count` numbers with their positions, of four bytes each, take fewer bytes than all `size`
/// numbers.
template <class T>
bool sparse_pays(Index count, Index size) {
  return count * static_cast<Index>(sizeof(std::int32_t) + sizeof(T)) < size * static_cast<Index>(sizeof(T));
}

/// Positions, in increasing order, of the k numbers that are largest in absolute value; of equal ones the
/// first.
template <class T>
std::vector<std::int32_t> largest(std::span<const T> x, Index k) {
  std::vector<std::int32_t> all(x.size());
  std::iota(all.begin(), all.end(), 0);
  const auto before = [&](std::int32_t i, std::int32_t j) {
    const T a = std::abs(x[static_cast<std::size_t>(i)]), b = std::abs(x[static_cast<std::size_t>(j)]);
    return a != b ? a > b : i < j;
  };
  std::nth_element(all.begin(), all.begin() + (k - 1), all.end(), before);
  all.resize(static_cast<std::size_t>(k));
  std::sort(all.begin(), all.end());
  return all;
}

/// Adds `<name>.index` and `<name>.value`: positions in increasing order and the tensor's numbers there.
template <class T>
void put_sparse(io::Archive& archive, const std::string& name, const Tensor<T>& x,
                const std::vector<std::int32_t>& index) {
  const auto k = static_cast<Index>(index.size());
  Tensor<std::int32_t> positions({k});
  Tensor<T> values({k});
  std::copy(index.begin(), index.end(), positions.data());
  for (Index i = 0; i < k; ++i) values.data()[i] = x.data()[positions.data()[i]];
  archive.share(detail::index_name(name), positions);
  archive.share(detail::value_name(name), values);
}

inline bool sparse_coded(const io::Archive& archive, std::string_view name) {
  return archive.contains(detail::index_name(name)) && archive.contains(detail::value_name(name));
}

/// f(position, value) for all that put_sparse added for a tensor of that size. Throws DataError, before the
/// first call, unless positions and values are as many, and positions increase and lie within the tensor.
template <class T, class F>
void for_each_sparse(const io::Archive& archive, std::string_view name, Index size, F f) {
  const auto positions = archive.get<std::int32_t>(detail::index_name(name));
  const Shape count{positions.size()};
  require<DataError>(positions.shape() == count, archive.origin(), ": tensor ", detail::index_name(name),
                     ": expected shape ", count, ", got ", positions.shape());
  const auto values = archive.get<T>(detail::value_name(name), count);
  Index last = -1;
  for (const std::int32_t at : positions.span()) {
    require<DataError>(at > last && at < size, archive.origin(), ": tensor ", detail::index_name(name),
                       ": expected increasing positions below ", size, ", got ", at, " after ", last);
    last = at;
  }
  for (Index i = 0; i < positions.size(); ++i) f(Index{positions.data()[i]}, values.data()[i]);
}

}  // namespace loru::inline LORU_ISA::fl
