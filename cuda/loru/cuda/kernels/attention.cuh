#pragma once
// What the kernels of attention share: where heads lie, which keys a query sees, and the cut into blocks.
//
// Sequences are packed as rows, q and y (rows, heads · width), k and v (rows, groups · width). A block of
// threads owns 64 rows of one sequence for one head; a table has the sequence and the first row of each, so
// that nothing is padded in memory. In shared memory a head's width is padded to 64 or 128 columns. With c =
// scale · log2 e a softmax is 2^(c·q·k − L), L being log2 of the row's sum. A row's bits depend on its own
// sequence alone.
// Sources: Dao et al. (FlashAttention), arXiv 2205.14135; Dao (FlashAttention-2), arXiv 2307.08691.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>

namespace loru::cuda {

/// Rows of a block, and the largest width of a head.
inline constexpr int attention_rows = 64, attention_width = 128;

/// Rows [first, first + 64) of one sequence, of its queries or of its keys.
struct AttentionBlock {
  int query, queries, key, keys;  // the sequence's first rows and how many
  int first;                      // within the sequence
};

/// The operands that all passes read, and the cut of each pass.
template <class T>
struct Attention {
  const T *q, *k, *v;
  int heads, groups, width;
  bool causal;
  float scale;
  const AttentionBlock* query_blocks;  // in device memory
  int query_block_count;
  const AttentionBlock* key_blocks;  // of the backward pass
  int key_block_count;
  int rows;  // of q

  /// One head of a sequence's queries, in q or its like.
  template <class E>
  __device__ Matrix<E> head_of_queries(E* x, const AttentionBlock& b, int head) const {
    const int ld = heads * width;
    return {x + static_cast<std::int64_t>(b.query) * ld + head * width, b.queries, width, ld};
  }
  /// The same of its keys, in k or its like.
  template <class E>
  __device__ Matrix<E> head_of_keys(E* x, const AttentionBlock& b, int group) const {
    const int ld = groups * width;
    return {x + static_cast<std::int64_t>(b.key) * ld + group * width, b.keys, width, ld};
  }
  /// The head of keys that a head of queries reads.
  __device__ int group(int head) const { return head / (heads / groups); }
  /// Keys that a query sees: the first so many.
  __device__ int visible(const AttentionBlock& b, int query) const {
    return causal ? min(b.keys, b.keys - b.queries + 1 + query) : b.keys;
  }
  /// Keys that a block of queries sees.
  __device__ int visible_to_block(const AttentionBlock& b) const {
    return visible(b, min(b.first + attention_rows, b.queries) - 1);
  }
  /// The first query that sees a block of keys.
  __device__ int first_that_sees(const AttentionBlock& b) const {
    return causal ? max(0, b.first + b.queries - b.keys) : 0;
  }
  /// c.
  __host__ __device__ float exponent() const { return scale * 1.4426950408889634f; }
};

/// Whether rows of heads start on 16-byte boundaries.
template <class T, class... E>
bool heads_aligned(const Attention<T>& of, const E*... x) {
  const auto aligned = [&](const auto* p) {
    return rows_aligned(Matrix<const std::remove_pointer_t<decltype(p)>>{p, 1, of.width, of.width});
  };
  return aligned(of.q) && aligned(of.k) && aligned(of.v) && (aligned(x) && ...);
}

/// start(integral_constant W, bool_constant<aligned>) with the least W of 64 and 128 that holds a head. Heads
/// that are loaded element by element are rare, and have one W.
template <class Start>
void with_head(int width, bool aligned, const Start& start) {
  using Wide = std::integral_constant<int, attention_width>;
  if (!aligned)
    start(Wide{}, std::false_type{});
  else if (width > 64)
    start(Wide{}, std::true_type{});
  else
    start(std::integral_constant<int, 64>{}, std::true_type{});
}

/// Rows of the other side that a kernel holds at a time: as many of 64, 32 and 16 as shared memory has room
/// for. bytes(integral_constant<int, rows>) is what a block takes.
template <class Bytes>
constexpr int streamed_rows(const Bytes& bytes, int block_memory) {
  if (bytes(std::integral_constant<int, 64>{}) <= block_memory) return 64;
  return bytes(std::integral_constant<int, 32>{}) <= block_memory ? 32 : 16;
}

/// start(integral_constant rows) with the rows for devices that give a block 163 KB or more (sm_80, sm_90),
/// or with those for devices that give it 99 KB (sm_86, sm_89, sm_120).
template <class Bytes, class Start>
void with_streamed_rows(const Bytes&, std::size_t block_memory, const Start& start) {
  using Most = std::integral_constant<int, streamed_rows(Bytes{}, 163 << 10)>;
  using Least = std::integral_constant<int, streamed_rows(Bytes{}, 99 << 10)>;
  static_assert(Bytes{}(Least{}) <= 99 << 10);
  if constexpr (Least::value < Most::value)
    if (static_cast<std::size_t>(Bytes{}(Most{})) > block_memory) return start(Least{});
  start(Most{});
}

struct Greatest {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Total {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace loru::cuda
