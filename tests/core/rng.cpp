#include <loru/core/rng.hpp>

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "support/catch.hpp"

using namespace loru;
using rng::Purpose;
using rng::Stream;

namespace {

/// Mean and variance of n draws.
struct Sample {
  double mean = 0.0, variance = 0.0;
  Sample(int n, const std::function<double()>& draw) {
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < n; ++i) {
      const double x = draw();
      sum += x;
      squares += x * x;
    }
    mean = sum / n;
    variance = squares / n - mean * mean;
  }
};

constexpr int draws = 200000;  // the standard error of a mean of unit variance is 0.0022

}  // namespace

TEST_CASE("rng: the published known answers of philox4x32-10") {
  CHECK(rng::philox({0, 0, 0, 0}, 0) == rng::Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(rng::philox({ones, ones, ones, ones}, ~std::uint64_t{0}) ==
        rng::Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(rng::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
        rng::Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("rng: counters side by side give what each gives alone") {
  const Stream s{7, Purpose::dropout, 3, 4};
  for (const std::uint32_t first : {0u, 5u, ~0u - 1}) {  // the last counts over the end
    const auto blocks = s.blocks<5>(first);
    for (std::uint32_t i = 0; i < 5; ++i)
      for (std::size_t w = 0; w < 4; ++w) CHECK(blocks.word[w][i] == s.block(first + i)[w]);
  }
}

TEST_CASE("rng: a stream is its key") {
  SECTION("each part of the key counts") {
    std::set<std::uint32_t> firsts;
    for (Stream s :
         {Stream{1}, Stream{2}, Stream{1, Purpose::init}, Stream{1, Purpose::test, 1},
          Stream{1, Purpose::test, 0, 1}, Stream{1}.fork(0), Stream{1}.fork(1), Stream{1}.fork(0).fork(0)})
      firsts.insert(s.bits());
    CHECK(firsts.size() == 8);
  }
  SECTION("draws are the words of the blocks, in order") {
    Stream s{7, Purpose::dropout, 3, 4};
    for (std::uint32_t b = 0; b < 3; ++b)
      for (std::uint32_t word : s.block(b)) CHECK(s.bits() == word);
  }
  SECTION("a fork depends neither on what was drawn nor on its siblings") {
    Stream drawn{5};
    const std::uint32_t expected = Stream{5}.fork(2).bits();
    for (int i = 0; i < 9; ++i) drawn.bits();
    drawn.fork(1).bits();
    CHECK(drawn.fork(2).bits() == expected);
  }
  SECTION("copies continue on their own") {
    Stream a{5};
    a.bits();
    Stream b = a;
    const std::uint32_t next = a.bits();
    a.bits();
    CHECK(b.bits() == next);
  }
}

TEST_CASE("rng: integers below n come equally often") {
  const Index n = GENERATE(1, 3, 7, 10);
  Stream stream{3};
  std::vector<int> counts(static_cast<std::size_t>(n));
  for (int i = 0; i < draws; ++i) {
    const Index k = stream.below(n);
    REQUIRE((k >= 0 && k < n));
    ++counts[static_cast<std::size_t>(k)];
  }
  double chi2 = 0.0;
  const double expected = static_cast<double>(draws) / static_cast<double>(n);
  for (int c : counts) chi2 += (c - expected) * (c - expected) / expected;
  CHECK(chi2 < 30.0);  // far in the tail for 9 degrees of freedom
}

TEST_CASE("rng: below rejects what would be biased") {
  // 3·2^30 numbers: without rejection the lower third would come twice as often as the others.
  Stream stream{9};
  const Index n = Index{3} << 30;
  int low = 0;
  for (int i = 0; i < draws; ++i) low += stream.below(n) < n / 3;
  CHECK(static_cast<double>(low) / draws == Approx(1.0 / 3.0).margin(0.005));
}

TEST_CASE("rng: moments of the distributions") {
  Stream s{11};
  SECTION("uniform") {
    const Sample u(draws, [&] { return s.uniform(); });
    CHECK(u.mean == Approx(0.5).margin(0.003));
    CHECK(u.variance == Approx(1.0 / 12.0).margin(0.001));
    for (int i = 0; i < 1000; ++i) {
      const double x = s.uniform(-2.0, 3.0);
      REQUIRE((x >= -2.0 && x < 3.0));
    }
  }
  SECTION("normal") {
    const Sample z(draws, [&] { return s.normal(); });
    CHECK(z.mean == Approx(0.0).margin(0.01));
    CHECK(z.variance == Approx(1.0).margin(0.015));
    const Sample fourth(draws, [&] { return std::pow(s.normal(), 4); });
    CHECK(fourth.mean == Approx(3.0).margin(0.12));
  }
  SECTION("gamma: mean and variance are the shape") {
    for (double shape : {0.1, 0.5, 1.0, 4.5}) {
      const Sample g(draws, [&] { return s.gamma(shape); });
      CHECK(g.mean == Approx(shape).epsilon(0.02).margin(0.003));
      CHECK(g.variance == Approx(shape).epsilon(0.05));
    }
  }
  SECTION("dirichlet: on the simplex, mean 1/n, variance (n − 1) / (n²·(n·α + 1))") {
    constexpr Index n = 5;
    constexpr double alpha = 0.3;
    const Sample first(draws / 10, [&] {
      const std::vector<double> p = s.dirichlet(n, alpha);
      double sum = 0.0;
      for (double x : p) {
        REQUIRE(x >= 0.0);
        sum += x;
      }
      REQUIRE(sum == Approx(1.0));
      return p[0];
    });
    CHECK(first.mean == Approx(0.2).margin(0.008));
    CHECK(first.variance == Approx(4.0 / (25.0 * 2.5)).epsilon(0.05));
  }
  SECTION("dirichlet of a tiny alpha is still a distribution") {
    const std::vector<double> p = s.dirichlet(3, 1e-3);
    CHECK(p[0] + p[1] + p[2] == Approx(1.0));
  }
  SECTION("dirichlet where every gamma variable is zero or infinite") {
    for (const double alpha : {1e-3, 1e-10, 1e-300, 5e-324, 1e308}) {
      INFO(alpha);
      std::array<Index, 4> first{};
      for (int i = 0; i < 4000; ++i) {
        const std::vector<double> p = s.dirichlet(4, alpha);
        REQUIRE(p[0] + p[1] + p[2] + p[3] == Approx(1.0));
        const auto largest = std::max_element(p.begin(), p.end());
        if (alpha < 1e-9) REQUIRE(*largest == 1.0);  // a corner,
        if (alpha > 1.0) REQUIRE(*largest == 0.25);  // or the middle
        ++first[static_cast<std::size_t>(largest - p.begin())];
      }
      if (alpha < 1.0)
        for (const Index count : first) CHECK(static_cast<double>(count) == Approx(1000.0).margin(140.0));
    }
  }
  SECTION("dirichlet in logarithms is the usual way where both can be taken") {
    // Of two draws from one place the second is what u^(1/alpha) would have been at a larger alpha: the order
    // of log u alone decides at alpha → 0.
    Stream tiny = s.fork(1), order = tiny;
    for (int i = 0; i < 200; ++i) {
      const std::vector<double> p = tiny.dirichlet(2, 1e-300);
      const double a = 1.0 - order.uniform();
      order.gamma(1.0);
      const double b = 1.0 - order.uniform();
      order.gamma(1.0);
      REQUIRE((p[0] == 1.0) == (a > b));
    }
  }
}

TEST_CASE("rng: shuffles and samples") {
  Stream s{2};
  SECTION("every permutation of three is as likely as another") {
    std::map<std::vector<int>, int> counts;
    for (int i = 0; i < 60000; ++i) {
      std::vector<int> v{0, 1, 2};
      s.shuffle(std::span{v});
      ++counts[v];
    }
    CHECK(counts.size() == 6);
    for (const auto& [v, count] : counts) CHECK(count == Approx(10000).margin(500));
  }
  SECTION("a sample has k different members") {
    for (Index k : {0, 1, 4, 10}) {
      const std::vector<Index> picked = s.sample(10, k);
      CHECK(std::set<Index>(picked.begin(), picked.end()).size() == static_cast<std::size_t>(k));
      for (Index i : picked) CHECK((i >= 0 && i < 10));
    }
  }
  SECTION("a sample is the head of a shuffle of all") {
    for (const Index n : {1, 2, 7, 300})
      for (const Index k : {Index{1}, n / 2, n}) {
        Stream dense = s, sparse = s;
        std::vector<Index> all(static_cast<std::size_t>(n));
        std::iota(all.begin(), all.end(), Index{0});
        for (Index i = 0; i < k; ++i)
          std::swap(all[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(i + dense.below(n - i))]);
        all.resize(static_cast<std::size_t>(k));
        CHECK(sparse.sample(n, k) == all);
        s.uniform();
      }
    CHECK(s.sample(Index{1} << 40, 3).size() == 3);
  }
}
