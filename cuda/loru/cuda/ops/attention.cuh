#pragma once
// Attention over packed sequences, by the fused kernels, in the precision that products have (see blas.hpp).
// In float, heads of at most 128.

#include <concepts>

#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/ops/kernels.cuh>

namespace loru::cuda {

namespace detail {

/// Blocks of 64 rows of every sequence, of queries or of keys. A sequence's last queries, which see most
/// under a causal mask, come first; of keys the first ones are seen by most.
inline Array<AttentionBlock> attention_blocks(const Sequences& queries, const Sequences& keys, bool of_keys) {
  std::vector<AttentionBlock> blocks;
  for (Index i = 0; i < queries.count(); ++i) {
    AttentionBlock b{blas_extent(queries.first(i)), blas_extent(queries.length(i)),
                     blas_extent(keys.first(i)), blas_extent(keys.length(i)), 0};
    const int count = divide_up(of_keys ? b.keys : b.queries, attention_rows);
    for (int j = 0; j < count; ++j) {
      b.first = (of_keys ? j : count - 1 - j) * attention_rows;
      blocks.push_back(b);
    }
  }
  Tensor<AttentionBlock> table(Shape{static_cast<Index>(blocks.size())});
  std::copy(blocks.begin(), blocks.end(), table.data());
  return upload(table);
}

/// What all passes read, and the tables that it points to.
template <class T>
struct AttentionOperands {
  Array<AttentionBlock> query_blocks, key_blocks;
  Attention<T> of;

  AttentionOperands(const char* where, const Array<T>& q, const Array<T>& k, const Array<T>& v,
                    const Sequences& queries, const Sequences& keys, const AttentionOptions& o,
                    bool with_keys) {
    const loru::detail::AttentionShape s(where, q, k, v, queries, keys, o);
    require<ShapeError>((std::same_as<T, float>), where, ": expected float on the CUDA device, got double");
    require<ShapeError>(s.width <= attention_width, where, ": expected heads of at most ", attention_width,
                        " on the CUDA device, got ", s.width);
    query_blocks = attention_blocks(queries, keys, false);
    if (with_keys) key_blocks = attention_blocks(queries, keys, true);
    of = {q.data(),
          k.data(),
          v.data(),
          blas_extent(s.heads),
          blas_extent(s.groups),
          blas_extent(s.width),
          o.causal,
          static_cast<float>(o.scale),
          query_blocks.data(),
          blas_extent(query_blocks.size()),
          key_blocks.data(),
          blas_extent(key_blocks.size()),
          blas_extent(q.dim(0))};
  }
};

}  // namespace detail

template <class T>
AttentionFeatures<T, Cuda> attention(const Array<T>& q, const Array<T>& k, const Array<T>& v,
                                     const Sequences& queries, const Sequences& keys,
                                     const AttentionOptions& o) {
  const detail::AttentionOperands<T> operands("attention", q, k, v, queries, keys, o, false);
  AttentionFeatures<T, Cuda> f{Array<T>(q.shape()), Array<T>(Shape{q.dim(0), o.heads})};
  if constexpr (std::same_as<T, float>)
    detail::with_math([&]<class Math>(Math) {
      fused_attention_forward<Math>({operands.of, f.y.data(), f.log_sum.data()}, detail::block_memory(),
                                    current_stream());
    });
  return f;
}

template <class T>
AttentionGradients<T, Cuda> attention_backward(const Array<T>& dy, const Array<T>& q, const Array<T>& k,
                                               const Array<T>& v, const AttentionFeatures<T, Cuda>& kept,
                                               const Sequences& queries, const Sequences& keys,
                                               const AttentionOptions& o, AttentionWanted wanted) {
  const detail::AttentionOperands<T> operands("attention_backward", q, k, v, queries, keys, o, true);
  loru::detail::check_attention_backward("attention_backward", dy, q, kept, o.heads);
  AttentionGradients<T, Cuda> d;
  if (wanted.dq) d.dq = Array<T>(q.shape());
  if (wanted.dk) d.dk = Array<T>(k.shape());
  if (wanted.dv) d.dv = Array<T>(k.shape());
  Array<T> delta(kept.log_sum.shape());
  if constexpr (std::same_as<T, float>)
    detail::with_math([&]<class Math>(Math) {
      const AttentionBackward<T> p{operands.of,  kept.y.data(), dy.data(),   kept.log_sum.data(),
                                   delta.data(), d.dq.data(),   d.dk.data(), d.dv.data()};
      fused_attention_backward<Math>(p, detail::block_memory(), current_stream());
    });
  return d;
}

}  // namespace loru::cuda
