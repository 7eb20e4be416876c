#pragma once
// Counter-based random numbers: every draw is a pure function of (seed, purpose, round, client, position), so
// that results do not depend on threads, order or history.
//
// Generator: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011. No std distribution is used: their results differ between standard libraries.

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::rng {

using Words = std::array<std::uint32_t, 4>;

/// Ten rounds of Philox4x32: 128 random bits for a 128-bit counter and a 64-bit key.
constexpr Words philox(Words counter, std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

/// The same for the counters whose first word is counter[0] + i: word w of number i at [w][i].
template <std::size_t L>
std::array<std::array<std::uint32_t, L>, 4> philox(const Words& counter, std::uint64_t key) {
  std::array<std::array<std::uint32_t, L>, 4> c;
  for (std::size_t i = 0; i < L; ++i) {
    c[0][i] = counter[0] + static_cast<std::uint32_t>(i);
    for (std::size_t w = 1; w < 4; ++w) c[w][i] = counter[w];
  }
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (std::size_t i = 0; i < L; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0][i],
                          p1 = std::uint64_t{0xCD9E8D57u} * c[2][i];
      c[0][i] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][i] ^ k0;
      c[1][i] = static_cast<std::uint32_t>(p1);
      c[2][i] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][i] ^ k1;
      c[3][i] = static_cast<std::uint32_t>(p0);
    }
  return c;
}

/// What a stream is for. Streams of different purposes never share a draw. Append only: the numbers are part of
/// what a seed means.
enum class Purpose : std::uint32_t {
  test = 0,
  init = 1,
  partition = 2,
  cohort = 3,
  batches = 4,
  augment = 5,
  dropout = 6,
  merge = 7,
  synthetic = 8,
  split = 9,
  ranks = 10,
  personal = 11,
  personal_test = 12,
  nested = 13,
  uplink = 14,
  downlink = 15,
};

/// A stream of random numbers keyed by (seed, purpose, round, client). Copies continue independently.
class Stream {
 public:
  using result_type = std::uint32_t;

  explicit Stream(std::uint64_t seed, Purpose purpose = Purpose::test, std::uint32_t round = 0,
                  std::uint32_t client = 0)
      : key_{seed}, purpose_{static_cast<std::uint32_t>(purpose)}, round_{round}, client_{client} {}

  /// The stream of the given number below this one; it does not depend on what was drawn here so far.
  Stream fork(std::uint32_t number) const {
    const Words w = philox({number, purpose_ ^ 0x80000000u, round_, client_}, key_);
    Stream child = *this;
    child.key_ = w[0] | (std::uint64_t{w[1]} << 32);
    child.block_ = 0;
    child.position_ = 4;
    return child;
  }

  /// The four words of block `index`: random access, as device code reads them.
  Words block(std::uint32_t index) const { return philox(counter(index), key_); }

  /// The counter and the key that philox makes block `index` of.
  Words counter(std::uint32_t index) const { return {index, purpose_, round_, client_}; }
  std::uint64_t key() const { return key_; }

  /// The words of blocks `first` .. first + L − 1: word w of block first + i at [w][i].
  template <std::size_t L>
  std::array<std::array<std::uint32_t, L>, 4> blocks(std::uint32_t first) const {
    return philox<L>({first, purpose_, round_, client_}, key_);
  }

  /// 32 uniform bits.
  std::uint32_t bits() {
    if (position_ == 4) {
      words_ = block(block_++);
      position_ = 0;
    }
    return words_[position_++];
  }

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform() {
    const std::uint64_t high = bits(), low = bits();
    return static_cast<double>(((high << 32) | low) >> 11) * 0x1.0p-53;
  }

  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Uniform integer in [0, n), without bias (Lemire 2019). n must be positive and below 2^32.
  Index below(Index n) {
    const auto range = static_cast<std::uint32_t>(n);
    std::uint64_t product = std::uint64_t{bits()} * range;
    if (static_cast<std::uint32_t>(product) < range) {
      const std::uint32_t threshold = (0u - range) % range;
      while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{bits()} * range;
    }
    return static_cast<Index>(product >> 32);
  }

  /// Standard normal (Box and Muller; one of the pair is dropped so that draws count the same on every path).
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }

  /// Gamma of the given shape and unit scale (Marsaglia and Tsang 2000). shape must be positive.
  double gamma(double shape) {
    if (shape < 1.0) {
      const double boost = std::pow(1.0 - uniform(), 1.0 / shape);
      return gamma(shape + 1.0) * boost;
    }
    const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
    for (;;) {
      const double x = normal(), t = 1.0 + c * x;
      if (t <= 0.0) continue;
      const double v = t * t * t, u = 1.0 - uniform();
      if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

  /// A point of the simplex from the symmetric Dirichlet distribution of dimension n.
  std::vector<double> dirichlet(Index n, double alpha) {
    std::vector<double> p(static_cast<std::size_t>(n));
    double sum = 0.0;
    while (!(sum > 0.0)) {  // for tiny alpha every component can round to zero
      sum = 0.0;
      for (double& x : p) sum += x = gamma(alpha);
    }
    for (double& x : p) x /= sum;
    return p;
  }

  /// Random permutation of the elements (Fisher and Yates).
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<Index>(i)))]);
  }

  /// k different integers of [0, n) in random order. k must not exceed n.
  std::vector<Index> sample(Index n, Index k) {
    std::vector<Index> all(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) all[static_cast<std::size_t>(i)] = i;
    for (Index i = 0; i < k; ++i)
      std::swap(all[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(i + below(n - i))]);
    all.resize(static_cast<std::size_t>(k));
    return all;
  }

 private:
  std::uint64_t key_;
  std::uint32_t purpose_, round_, client_;
  std::uint32_t block_ = 0;
  Words words_{};
  std::uint32_t position_ = 4;
};

}  // namespace loru::rng
