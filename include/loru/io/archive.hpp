#pragma once
// Archive: named tensors and string metadata in memory, the content of a safetensors file.

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/core/blocks.hpp>
#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::io {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and read without conversion");

/// Element types that files hold.
enum class DType : unsigned char { f32, f64, i32, i64, u8, i8, f16, bf16 };

inline constexpr DType dtypes[] = {DType::f32, DType::f64, DType::i32, DType::i64,
                                   DType::u8,  DType::i8,  DType::f16, DType::bf16};

/// The name of a type in a safetensors header.
constexpr const char* to_string(DType dtype) {
  constexpr const char* names[] = {"F32", "F64", "I32", "I64", "U8", "I8", "F16", "BF16"};
  return names[static_cast<std::size_t>(dtype)];
}

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  constexpr std::size_t sizes[] = {4, 8, 4, 8, 1, 1, 2, 2};
  return sizes[static_cast<std::size_t>(dtype)];
}

/// A C++ type that files hold. Numbers of two bytes are raw to an archive.
template <class T>
concept Storable =
    std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::int64_t> || std::same_as<T, std::uint8_t> || std::same_as<T, std::int8_t>;

template <Storable T>
inline constexpr DType dtype_of = std::same_as<T, float>          ? DType::f32
                                  : std::same_as<T, double>       ? DType::f64
                                  : std::same_as<T, std::int32_t> ? DType::i32
                                  : std::same_as<T, std::int64_t> ? DType::i64
                                  : std::same_as<T, std::uint8_t> ? DType::u8
                                                                  : DType::i8;

/// A stored tensor: row-major bytes, not necessarily aligned to the element, kept alive by `owner`. Without
/// an owner the bytes are borrowed and whoever put them there keeps them alive. Where there are blocks there
/// are no bytes: they are the blocks' values in F32, decoded whenever they are read.
struct RawTensor {
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner = nullptr;
  std::shared_ptr<const BlockTensor> blocks = nullptr;

  std::size_t size_bytes() const { return static_cast<std::size_t>(shape.size()) * size_of(dtype); }

  /// f(bytes) for the pieces of the tensor in order; each is valid while f runs.
  template <class F>
  void for_each_piece(F f) const {
    if (!blocks) return f(bytes);
    constexpr Index most = 256;
    Tensor<float> rows(Shape{std::min(most, blocks->rows()), blocks->columns()});
    for (Index first = 0; first < blocks->rows(); first += most) {
      const Index count = std::min(most, blocks->rows() - first);
      decode_rows(*blocks, first, count, rows.data());
      f(std::as_bytes(rows.span().first(static_cast<std::size_t>(count * blocks->columns()))));
    }
  }
};

namespace detail {

/// The elements in row-major memory: the tensor itself if it is so already.
template <Storable T>
Tensor<T> row_major(const Tensor<T>& x) {
  if (x.layout() == Layout::row_major) return x;
  if (x.layout_free()) return x.reshape(x.shape());
  Tensor<T> y{x.shape()};
  const Index channels = x.dim(1), pixels = x.dim(2) * x.dim(3);
  T* out = y.data();
  for (Index n = 0; n < x.dim(0); ++n)
    for (Index c = 0; c < channels; ++c)
      for (Index p = 0; p < pixels; ++p) *out++ = x.data()[(n * pixels + p) * channels + c];
  return y;
}

}  // namespace detail

/// Named tensors, ordered by name, and string metadata. Errors name the origin (a path, or "archive"), the
/// tensor, what was expected and what is there. Copies are cheap: they share the stored bytes, which never
/// change.
class Archive {
 public:
  Archive() = default;
  /// `origin` is how errors name the archive.
  explicit Archive(std::string_view origin) : origin_{origin} {}

  /// Stores a copy of the tensor's values, row-major, in place of one of the same name. Throws DataError if
  /// the name is reserved, ShapeError if the tensor has no elements to store (default constructed).
  template <Storable T>
  void put(std::string name, const Tensor<T>& tensor) {
    require_tensor(name, static_cast<bool>(tensor));
    const Tensor<T> values = detail::row_major(tensor);
    if (values.unique()) return share(std::move(name), values);  // converted, so a copy already
    Tensor<T> copy{tensor.shape()};
    std::memcpy(copy.data(), values.data(), values.span().size_bytes());
    share(std::move(name), copy);
  }

  /// Stores the tensor's own buffer, without a copy unless it is channels-last: values written to the tensor
  /// later show in the archive. For large tensors that are serialised at once. Throws as put does.
  template <Storable T>
  void share(std::string name, const Tensor<T>& tensor) {
    require_tensor(name, static_cast<bool>(tensor));
    auto owner = std::make_shared<const Tensor<T>>(detail::row_major(tensor));
    const auto bytes = std::as_bytes(owner->span());
    put_raw(std::move(name), {dtype_of<T>, tensor.shape(), bytes, std::move(owner)});
  }

  /// Stores the values of blocks, which stay as they are. Throws DataError if the name is reserved.
  void share(std::string name, const BlockTensor& blocks) {
    insert(std::move(name),
           {DType::f32, blocks.shape, {}, nullptr, std::make_shared<const BlockTensor>(blocks)});
  }

  /// Stores bytes as they are. Throws DataError if the name is reserved or the bytes do not fill the shape.
  void put_raw(std::string name, RawTensor raw) {
    require<DataError>(raw.blocks || raw.bytes.size() == raw.size_bytes(), origin_, ": tensor ", name,
                       ": expected ", raw.size_bytes(), " bytes for shape ", raw.shape, ", got ",
                       raw.bytes.size());
    insert(std::move(name), std::move(raw));
  }

  /// A row-major copy of the values. Throws DataError if there is no such tensor or its type is another.
  template <Storable T>
  Tensor<T> get(std::string_view name) const {
    const RawTensor& raw = this->raw(name);
    require<DataError>(raw.dtype == dtype_of<T>, origin_, ": tensor ", name, ": expected dtype ",
                       to_string(dtype_of<T>), ", got ", to_string(raw.dtype));
    Tensor<T> tensor{raw.shape};
    raw.for_each_piece([at = reinterpret_cast<std::byte*>(tensor.data())](const auto& piece) mutable {
      at = std::copy(piece.begin(), piece.end(), at);
    });
    return tensor;
  }

  /// As above, and throws DataError if the shape is another than expected.
  template <Storable T>
  Tensor<T> get(std::string_view name, const Shape& shape) const {
    const Shape& got = raw(name).shape;
    require<DataError>(got == shape, origin_, ": tensor ", name, ": expected shape ", shape, ", got ", got);
    return get<T>(name);
  }

  /// A tensor without a copy; valid while the archive holds it. Throws DataError.
  const RawTensor& raw(std::string_view name) const {
    const auto found = tensors_.find(name);
    require<DataError>(found != tensors_.end(), origin_, ": expected a tensor named '", name,
                       "', got none among ", tensors_.size());
    return found->second;
  }

  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  std::size_t size() const { return tensors_.size(); }

  /// All names in order.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, raw] : tensors_) all.push_back(name);
    return all;
  }

  /// All tensors by name, to iterate.
  const std::map<std::string, RawTensor, std::less<>>& tensors() const { return tensors_; }

  /// Removes a tensor; false if there was none.
  bool erase(std::string_view name) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return false;
    tensors_.erase(found);
    return true;
  }

  /// Free strings by key, such as the alpha of the factors.
  std::map<std::string, std::string, std::less<>>& metadata() { return metadata_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }

  /// How errors name this archive.
  const std::string& origin() const { return origin_; }

 private:
  void insert(std::string name, RawTensor raw) {
    require<DataError>(name != "__metadata__", origin_, ": '__metadata__' is no name for a tensor");
    tensors_.insert_or_assign(std::move(name), std::move(raw));
  }

  void require_tensor(const std::string& name, bool present) const {
    require<ShapeError>(present, origin_, ": tensor ", name, ": expected a tensor, got an empty handle");
  }

  std::string origin_ = "archive";
  std::map<std::string, RawTensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

}  // namespace loru::inline LORU_ISA::io
