#pragma once
// Every number of a tensor in fewer bits.

#include <algorithm>
#include <cstring>

#include <loru/core/half.hpp>
#include <loru/fl/message/codec.hpp>
#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

template <class Narrow, class T>
io::RawTensor narrowed(const Tensor<T>& x, io::DType dtype) {
  static_assert(sizeof(Narrow) == 2);
  auto values = std::make_shared<std::vector<Narrow>>();
  values->reserve(static_cast<std::size_t>(x.size()));
  for (const T& value : x.span()) values->push_back(static_cast<Narrow>(static_cast<float>(value)));
  const auto bytes = std::as_bytes(std::span(*values));
  return {dtype, x.shape(), bytes, std::move(values)};
}

template <class T, class Narrow>
Tensor<T> widened(const io::RawTensor& raw) {
  Tensor<T> x(raw.shape);
  const std::byte* at = raw.bytes.data();
  for (T& value : x.span()) {
    Narrow narrow;
    std::memcpy(&narrow, at, sizeof narrow);
    at += sizeof narrow;
    value = static_cast<T>(static_cast<float>(narrow));
  }
  return x;
}

inline std::string scale_name(std::string_view tensor) { return std::string(tensor) + ".scale"; }

template <class T>
void put_int8(io::Archive& archive, const std::string& name, const Tensor<T>& x, rng::Stream stream) {
  double largest = 0.0;
  for (const T& value : x.span()) largest = std::max(largest, std::abs(static_cast<double>(value)));
  const double steps = largest > 0.0 ? 127.0 / largest : 0.0;
  Tensor<std::int8_t> q(x.shape());
  for (Index i = 0; i < x.size(); ++i) {
    const double u = static_cast<double>(stream.bits()) * 0x1.0p-32;
    const double rounded = std::floor(static_cast<double>(x.data()[i]) * steps + u);
    q.data()[i] = static_cast<std::int8_t>(std::clamp(rounded, -127.0, 127.0));
  }
  archive.share(name, q);
  archive.put(scale_name(name), nn::constant<T>({1}, largest / 127.0));
}

template <class T>
Tensor<T> get_int8(const io::Archive& archive, std::string_view name) {
  const T scale = archive.get<T>(scale_name(name), {1}).data()[0];
  require<DataError>(std::isfinite(scale) && scale >= T(0), archive.origin(), ": tensor ", scale_name(name),
                     ": expected a finite number >= 0, got ", scale);
  const Tensor<std::int8_t> q = archive.get<std::int8_t>(name);
  Tensor<T> x(q.shape());
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = scale * static_cast<T>(q.data()[i]);
  return x;
}

}  // namespace detail

/// Adds a row-major tensor under its name, of two bytes a number, or of one and `<name>.scale`. int8 draws a
/// number of the stream for each number of the tensor. Throws DivergedError unless all numbers are finite.
template <class T>
void put_dense(io::Archive& archive, const std::string& name, const Tensor<T>& x, Code code,
               const rng::Stream& stream) {
  require<DivergedError>(all_finite(x), archive.origin(), ": ", name, " is not finite");
  if (code == Code::fp16)
    archive.put_raw(name, detail::narrowed<Half>(x, io::DType::f16));
  else if (code == Code::bf16)
    archive.put_raw(name, detail::narrowed<BFloat16>(x, io::DType::bf16));
  else
    detail::put_int8(archive, name, x, stream);
}

/// Whether the tensor has been coded by put_dense.
inline bool dense_coded(const io::RawTensor& raw) {
  return raw.dtype == io::DType::f16 || raw.dtype == io::DType::bf16 || raw.dtype == io::DType::i8;
}

/// The numbers that put_dense coded. Throws DataError for a scale that is missing, negative or not finite.
template <class T>
Tensor<T> get_dense(const io::Archive& archive, std::string_view name) {
  const io::RawTensor& raw = archive.raw(name);
  if (raw.dtype == io::DType::f16) return detail::widened<T, Half>(raw);
  if (raw.dtype == io::DType::bf16) return detail::widened<T, BFloat16>(raw);
  return detail::get_int8<T>(archive, name);
}

}  // namespace loru::inline LORU_ISA::fl
