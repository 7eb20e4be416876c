#pragma once
// Tensor: a cheap handle on a shared buffer with a logical shape and a memory layout.

#include <algorithm>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <utility>

#include <loru/core/device.hpp>
#include <loru/core/dual.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA {

/// How the elements of a tensor of shape (N, C, H, W) follow each other in memory: NCHW or NHWC.
enum class Layout : unsigned char { row_major, channels_last };

/// Whether a matrix enters a product as it is or transposed.
enum class Op : unsigned char { none, transpose };

inline const char* to_string(Layout layout) {
  return layout == Layout::row_major ? "row-major" : "channels-last";
}

/// True if row-major and channels-last mean the same memory: rank below 4, one channel or one pixel.
inline bool layout_free(const Shape& shape) {
  return shape.rank() != 4 || shape[1] == 1 || (shape[2] == 1 && shape[3] == 1);
}

/// A dense array of T on device D. Copies share the elements; clone() copies them. The shape is logical: a
/// channels-last tensor still has shape (N, C, H, W), its memory runs over (N, H, W, C). Memory is
/// contiguous.
template <class T, class D = Cpu>
class Tensor {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  using value_type = T;
  using device_type = D;

  /// No elements and no buffer; converts to false.
  Tensor() = default;

  /// Uninitialised elements. channels_last needs rank 4. Throws ShapeError, std::bad_alloc.
  explicit Tensor(const Shape& shape, Layout layout = Layout::row_major)
      : shape_{shape},
        layout_{layout},
        buffer_{D::allocate(static_cast<std::size_t>(shape.size()) * sizeof(T))} {
    require<ShapeError>(layout == Layout::row_major || shape.rank() == 4,
                        "tensor: expected rank 4 for channels-last, got ", shape);
  }

  /// Elements from a list in row-major order (host only).
  Tensor(const Shape& shape, std::initializer_list<T> values)
    requires std::same_as<D, Cpu>
      : Tensor(shape) {
    require<ShapeError>(static_cast<Index>(values.size()) == size(), "tensor: expected ", size(),
                        " values for shape ", shape, ", got ", values.size());
    std::copy(values.begin(), values.end(), data());
  }

  /// A shape without elements, for a tensor to come; converts to false.
  static Tensor without_elements(const Shape& shape) {
    Tensor t;
    t.shape_ = shape;
    return t;
  }

  explicit operator bool() const { return static_cast<bool>(buffer_); }

  const Shape& shape() const { return shape_; }
  Index dim(Index i) const { return shape_[i]; }
  Index rank() const { return shape_.rank(); }
  Index size() const { return buffer_ ? shape_.size() : 0; }
  Layout layout() const { return layout_; }

  T* data() { return static_cast<T*>(buffer_.data()); }
  const T* data() const { return static_cast<const T*>(buffer_.data()); }

  /// All elements in memory order (host only).
  std::span<T> span()
    requires std::same_as<D, Cpu>
  {
    return {data(), static_cast<std::size_t>(size())};
  }
  std::span<const T> span() const
    requires std::same_as<D, Cpu>
  {
    return {data(), static_cast<std::size_t>(size())};
  }

  /// True if no other tensor shares the buffer.
  bool unique() const { return buffer_.unique(); }

  /// True if row-major and channels-last mean the same memory.
  bool layout_free() const { return loru::layout_free(shape_); }

  /// The same elements under another row-major shape. Throws ShapeError if the sizes differ or if the memory
  /// is channels-last where that matters (convert first).
  Tensor reshape(const Shape& shape) const {
    require<ShapeError>(shape.size() == size(), "reshape: expected ", size(), " elements, got ", shape);
    require<ShapeError>(layout_ == Layout::row_major || layout_free(),
                        "reshape: expected row-major memory, got channels-last ", shape_);
    return reinterpret(shape, Layout::row_major);
  }

  /// The same memory under another shape and layout; only the number of elements is checked.
  Tensor reinterpret(const Shape& shape, Layout layout) const {
    require<ShapeError>(shape.size() == size(), "reinterpret: expected ", size(), " elements, got ", shape);
    Tensor other = *this;
    other.shape_ = shape;
    other.layout_ = layout;
    return other;
  }

  /// Memory seen as a matrix of `rows` rows: (N·H·W, C) for channels-last activations, (m, n) for weights.
  Tensor as_matrix(Index rows) const {
    require<ShapeError>(rows > 0 ? size() % rows == 0 : size() == 0, "as_matrix: ", rows,
                        " rows do not divide the elements of ", shape_);
    return reinterpret({rows, rows > 0 ? size() / rows : 0}, Layout::row_major);
  }

  /// The first `rows` of a row-major tensor, in the same memory. Throws ShapeError if there are fewer.
  Tensor head(Index rows) const {
    require<ShapeError>(layout_ == Layout::row_major && rank() > 0 && rows >= 0 && rows <= dim(0),
                        "head: expected a row-major tensor of at least ", rows, " rows, got ", shape_);
    Tensor other = *this;
    other.shape_ = {rows};
    for (Index i = 1; i < rank(); ++i) other.shape_.push_back(dim(i));
    return other;
  }

  /// Offset in memory of the element with logical indices (n, c, h, w).
  Index offset(Index n, Index c, Index h, Index w) const {
    return layout_ == Layout::row_major ? ((n * shape_[1] + c) * shape_[2] + h) * shape_[3] + w
                                        : ((n * shape_[2] + h) * shape_[3] + w) * shape_[1] + c;
  }

 private:
  Shape shape_;
  Layout layout_ = Layout::row_major;
  Buffer buffer_;
};

template <class T, class D>
void require_same_shape(const char* where, const Tensor<T, D>& a, const Tensor<T, D>& b) {
  require<ShapeError>(a.shape() == b.shape(), where, ": expected equal shapes, got ", a.shape(), " and ",
                      b.shape());
  require<ShapeError>(a.layout() == b.layout() || a.layout_free(), where, ": expected equal layouts, got ",
                      to_string(a.layout()), " and ", to_string(b.layout()), " for ", a.shape());
}

}  // namespace loru::inline LORU_ISA
