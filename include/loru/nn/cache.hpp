#pragma once
// Keys and values of the tokens that a decoder has read, so that it reads on from there.

#include <algorithm>
#include <map>

#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::nn {

/// The keys and values of one sequence in every attention of a model, on the host. A pass with a cache reads
/// the tokens that follow: their `bounds.offset` is the number of those read before. The logits have the bits
/// of a pass over the whole sequence where factored layers take the same plan for both. Nothing is trained
/// through a cache.
template <class T>
class KeyValueCache final : public PassCache {
 public:
  struct KeyValues {
    Tensor<T> keys, values;  // (tokens read, groups · width)
  };

  /// Adds the keys and values of the pass's tokens to those of an attention, and gives all of them, in the
  /// cache's memory. Throws ShapeError for more than one sequence, or one that does not go on where the cache
  /// ends.
  KeyValues extend(const void* attention, const Tensor<T>& keys, const Tensor<T>& values,
                   const Sequences& s) {
    Rows& rows = read_[attention];
    require<ShapeError>(s.count() == 1 && s.offset == rows.count,
                        "cache: expected one sequence that goes on at token ", rows.count, ", got ",
                        s.count(), s.count() == 1 ? " at token " : " sequences at token ", s.offset);
    append(rows.all.keys, rows.count, keys);
    append(rows.all.values, rows.count, values);
    rows.count += keys.dim(0);
    return {rows.all.keys.head(rows.count), rows.all.values.head(rows.count)};
  }

 private:
  struct Rows {
    KeyValues all;  // with room for more rows
    Index count = 0;
  };

  /// Writes the rows behind the first `count`. Where there is no room, all move to twice as much; where a
  /// copy of the cache shares the memory, to memory of their own.
  static void append(Tensor<T>& all, Index count, const Tensor<T>& more) {
    const Index needed = count + more.dim(0), room = all ? all.dim(0) : 0;
    if (needed > room || !all.unique()) {
      Tensor<T> larger({needed > room ? std::max(needed, 2 * room) : room, more.dim(1)});
      std::copy_n(all.data(), count * more.dim(1), larger.data());
      all = larger;
    }
    std::copy_n(more.data(), more.size(), all.data() + count * more.dim(1));
  }

  std::map<const void*, Rows> read_;
};

/// The cache of a pass, or null. Throws ConfigError for a cache of another scalar or on another device.
template <class T, class D>
KeyValueCache<T>* cache_of(const Pass& pass) {
  if (!pass.cache) return nullptr;
  auto* cache = dynamic_cast<KeyValueCache<T>*>(pass.cache);
  require<ConfigError>(cache != nullptr && std::same_as<D, Cpu>,
                       "attention: expected a cache of the model's scalar, on the host");
  return cache;
}

}  // namespace loru::inline LORU_ISA::nn
