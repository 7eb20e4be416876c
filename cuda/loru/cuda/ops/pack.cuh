#pragma once
// Many tensors between the host and the device in one copy: packed into page-locked memory on the one side,
// copied by a kernel on the other.

#include <cstring>
#include <span>

#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/pinned.hpp>

namespace loru::cuda {

namespace detail {

/// y[i] = x[i].
template <class T>
struct CopyElement {
  const T* x;
  T* y;
  __device__ void operator()(Index i) const { y[i] = x[i]; }
};

/// What a thread has uploaded last. It stays on the device, so that the same bytes are not sent again: the
/// clients of a round receive the same broadcast.
class Upload {
 public:
  /// The pieces, one after the other in device memory, for work on this thread's stream. Throws CudaError.
  const void* send(const std::vector<std::span<const std::byte>>& pieces) {
    std::size_t bytes = 0;
    for (const auto& piece : pieces) bytes += piece.size();
    const cudaStream_t stream = current_stream();
    bool known = there_ && bytes == bytes_ && stream == stream_;
    std::byte* const packed = staging_.at_least(bytes);
    std::byte* at = packed;
    for (const auto& piece : pieces) {
      known = known && std::equal(piece.begin(), piece.end(), at);
      if (!known) std::copy(piece.begin(), piece.end(), at);
      at += piece.size();
    }
    if (known) return there_.data();
    there_ = {};
    Buffer next = allocate(bytes);
    copy_bytes(next.data(), packed, bytes, cudaMemcpyHostToDevice);
    synchronize();  // the next call writes over what was packed
    there_ = std::move(next);
    bytes_ = bytes;
    stream_ = stream;
    return there_.data();
  }

  static Upload& of_this_thread() {
    thread_local Upload mine;
    return mine;
  }

 private:
  Pinned staging_;
  Buffer there_;
  std::size_t bytes_ = 0;
  cudaStream_t stream_ = nullptr;
};

inline Pinned& download_stage() {
  thread_local Pinned mine;
  return mine;
}

}  // namespace detail

template <class T>
void upload_all(std::vector<Array<T>>& there, const std::vector<Tensor<T>>& all) {
  std::vector<std::span<const std::byte>> pieces;
  for (const Tensor<T>& x : all) {
    there.push_back(x ? Array<T>(x.shape(), x.layout()) : Array<T>());
    pieces.push_back(std::as_bytes(std::span(x.data(), static_cast<std::size_t>(x.size()))));
  }
  const T* at = static_cast<const T*>(detail::Upload::of_this_thread().send(pieces));
  std::vector<detail::CopyElement<T>> loops;
  std::vector<Index> sizes;
  for (Array<T>& y : there) {
    loops.push_back({at, y.data()});
    sizes.push_back(y.size());
    at += y.size();
  }
  detail::for_each_of("unpack", loops, sizes);
}

template <class T>
void download_all(std::vector<Tensor<T>>& here, const std::vector<Array<T>>& all) {
  Index total = 0;
  for (const Array<T>& x : all) total += x.size();
  Array<T> packed(Shape{total});
  std::vector<detail::CopyElement<T>> loops;
  std::vector<Index> sizes;
  T* to = packed.data();
  for (const Array<T>& x : all) {
    loops.push_back({x.data(), to});
    sizes.push_back(x.size());
    to += x.size();
  }
  detail::for_each_of("pack", loops, sizes);
  const std::size_t bytes = detail::bytes_of(packed);
  std::byte* const stage = detail::download_stage().at_least(bytes);
  detail::copy_bytes(stage, packed.data(), bytes, cudaMemcpyDeviceToHost);
  synchronize();
  const std::byte* from = stage;
  for (const Array<T>& x : all) {
    here.push_back(x ? Tensor<T>(x.shape(), x.layout()) : Tensor<T>());
    const std::size_t size = detail::bytes_of(x);
    if (size > 0) std::memcpy(here.back().data(), from, size);
    from += size;
  }
}

}  // namespace loru::cuda
