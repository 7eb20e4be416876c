#pragma once
// Counter-based random numbers: every draw is a pure function of (seed, purpose, round, client, position), so
// that results do not depend on threads, order or history.
// No std distribution is used: their results differ between standard libraries.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include <loru/core/philox.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::rng {

using Words = std::array<std::uint32_t, 4>;

/// The 128 random bits of a 128-bit counter and a 64-bit key.
constexpr Words philox(const Words& counter, std::uint64_t key) {
  std::uint32_t c[4][1] = {{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}};
  philox(c, key);
  return {c[0][0], c[1][0], c[2][0], c[3][0]};
}

/// The words of L blocks: word w of block i at word[w][i].
template <std::size_t L>
struct Blocks {
  std::uint32_t word[4][L];
};

/// The purpose of a stream. Streams of different purposes never share a draw. Append only: a seed's draws
/// depend on these numbers.
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
  validation = 16,
  spectrum = 17,
  generate = 18,
  drop = 19,
};

/// A stream of random numbers keyed by (seed, purpose, round, client). Copies continue independently. The
/// functions that run the generator are not inlined: a call costs little beside its ten rounds, and their
/// code is long.
class Stream {
 public:
  using result_type = std::uint32_t;

  explicit Stream(std::uint64_t seed, Purpose purpose = Purpose::test, std::uint32_t round = 0,
                  std::uint32_t client = 0)
      : key_{seed}, purpose_{static_cast<std::uint32_t>(purpose)}, round_{round}, client_{client} {}

  /// A child stream with the given number. It does not depend on the draws made from this stream so far.
  [[gnu::noinline]] Stream fork(std::uint32_t number) const {
    const Words w = philox({number, purpose_ ^ 0x80000000u, round_, client_}, key_);
    Stream child = *this;
    child.key_ = w[0] | (std::uint64_t{w[1]} << 32);
    child.block_ = 0;
    child.position_ = 4;
    return child;
  }

  /// The four words of block `index`: random access, as device code reads them.
  [[gnu::noinline]] Words block(std::uint32_t index) const { return philox(counter(index), key_); }

  /// The counter and the key from which philox makes block `index`.
  Words counter(std::uint32_t index) const { return {index, purpose_, round_, client_}; }
  std::uint64_t key() const { return key_; }

  /// The words of blocks `first` .. first + L − 1.
  template <std::size_t L>
  Blocks<L> blocks(std::uint32_t first) const {
    Blocks<L> b;
    for (std::size_t i = 0; i < L; ++i) {
      b.word[0][i] = first + static_cast<std::uint32_t>(i);
      b.word[1][i] = purpose_;
      b.word[2][i] = round_;
      b.word[3][i] = client_;
    }
    philox(b.word, key_);
    return b;
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
  [[gnu::noinline]] Index below(Index n) {
    const auto range = static_cast<std::uint32_t>(n);
    std::uint64_t product = std::uint64_t{bits()} * range;
    if (static_cast<std::uint32_t>(product) < range) {
      const std::uint32_t threshold = (0u - range) % range;
      while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{bits()} * range;
    }
    return static_cast<Index>(product >> 32);
  }

  /// Standard normal (Box and Muller; one of the pair is dropped so that draws count the same on every path).
  [[gnu::noinline]] double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }

  /// Gamma of the given shape and unit scale (Marsaglia and Tsang 2000). shape must be positive.
  [[gnu::noinline]] double gamma(double shape) {
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

  /// A point of the simplex from the symmetric Dirichlet distribution of dimension n. alpha must be positive.
  std::vector<double> dirichlet(Index n, double alpha) {
    std::vector<double> p(static_cast<std::size_t>(n));
    const Stream begin = *this;
    double sum = 0.0;
    for (double& x : p) sum += x = gamma(alpha);
    if (sum > 0.0 && std::isfinite(sum)) {
      for (double& x : p) x /= sum;
    } else if (sum > 0.0) {  // above all range: the components differ by less than a rounding
      for (double& x : p) x = 1.0 / static_cast<double>(n);
    } else {
      *this = begin;
      dirichlet_of_powers(p, alpha);
    }
    return p;
  }

  /// Random permutation of the elements (Fisher and Yates).
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i > 1; --i)
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<Index>(i)))]);
  }

  /// k different integers of [0, n) in random order. k must not exceed n. Takes time and memory for k alone:
  /// the first k steps of Fisher and Yates on 0 .. n − 1, of which only what was moved is kept.
  std::vector<Index> sample(Index n, Index k) {
    std::map<Index, Index> moved;  // by place
    const auto at = [&](Index place) {
      const auto found = moved.find(place);
      return found == moved.end() ? place : found->second;
    };
    std::vector<Index> chosen;
    for (Index i = 0; i < k; ++i) {
      const Index place = i + below(n - i);
      chosen.push_back(at(place));
      moved[place] = at(i);
    }
    return chosen;
  }

 private:
  /// dirichlet() from the same draws where every gamma variable g·u^(1/alpha) is below all range: the shares
  /// of exp((t − max t) / alpha), t = alpha·log g + log u.
  [[gnu::noinline]] void dirichlet_of_powers(std::vector<double>& p, double alpha) {
    double most = -std::numeric_limits<double>::infinity(), sum = 0.0;
    for (double& t : p) {
      const double u = 1.0 - uniform();
      t = alpha * std::log(gamma(alpha + 1.0)) + std::log(u);
      most = std::max(most, t);
    }
    for (double& t : p) sum += t = std::exp((t - most) / alpha);
    for (double& t : p) t /= sum;
  }

  std::uint64_t key_;
  std::uint32_t purpose_, round_, client_;
  std::uint32_t block_ = 0;
  Words words_{};
  std::uint32_t position_ = 4;
};

}  // namespace loru::inline LORU_ISA::rng
