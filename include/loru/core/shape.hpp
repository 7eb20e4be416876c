#pragma once
// Shapes of tensors: up to six extents, row-major order of indices.

#include <array>
#include <cstddef>
#include <initializer_list>
#include <ostream>

#include <loru/core/error.hpp>

namespace loru::inline LORU_ISA {

/// Signed type of extents, offsets and counts.
using Index = std::ptrdiff_t;

/// The extents of a tensor. A scalar has rank 0 and size 1.
class Shape {
 public:
  static constexpr Index max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<Index> extents) {
    for (Index extent : extents) push_back(extent);
  }

  /// Appends an extent. Throws ShapeError if it is negative or the rank would exceed max_rank.
  void push_back(Index extent) {
    require<ShapeError>(extent >= 0, "shape: expected an extent >= 0, got ", extent);
    require<ShapeError>(rank_ < max_rank, "shape: expected at most ", max_rank, " extents");
    extents_[static_cast<std::size_t>(rank_++)] = extent;
  }

  Index rank() const { return rank_; }
  Index operator[](Index i) const { return extents_[static_cast<std::size_t>(i)]; }

  /// Number of elements: the product of the extents.
  Index size() const {
    Index n = 1;
    for (Index i = 0; i < rank_; ++i) n *= (*this)[i];
    return n;
  }

  const Index* begin() const { return extents_.data(); }
  const Index* end() const { return extents_.data() + rank_; }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (Index i = 0; i < a.rank_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }

  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '(';
    for (Index i = 0; i < shape.rank_; ++i) out << (i ? ", " : "") << shape[i];
    return out << ')';
  }

 private:
  std::array<Index, max_rank> extents_{};
  Index rank_ = 0;
};

}  // namespace loru::inline LORU_ISA
