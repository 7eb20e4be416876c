#pragma once
// Keys and values of the tokens that a decoder has read, so that it reads on from there.

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

  /// Adds the keys and values of the pass's tokens to those of an attention, and gives all of them. Throws
  /// ShapeError for more than one sequence, or one that does not go on where the cache ends.
  const KeyValues& extend(const void* attention, const Tensor<T>& keys, const Tensor<T>& values,
                          const Sequences& s) {
    KeyValues& all = read_[attention];
    const Index before = all.keys ? all.keys.dim(0) : 0;
    require<ShapeError>(s.count() == 1 && s.offset == before,
                        "cache: expected one sequence that goes on at token ", before, ", got ", s.count(),
                        s.count() == 1 ? " at token " : " sequences at token ", s.offset);
    all = {appended(all.keys, keys), appended(all.values, values)};
    return all;
  }

 private:
  static Tensor<T> appended(const Tensor<T>& first, const Tensor<T>& more) {
    const Index before = first ? first.dim(0) : 0;
    Tensor<T> all({before + more.dim(0), more.dim(1)});
    std::copy(more.data(), more.data() + more.size(),
              std::copy(first.data(), first.data() + first.size(), all.data()));
    return all;
  }

  std::map<const void*, KeyValues> read_;
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
