#include <loru/data/partition/partition.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace loru;
using data::Dataset;
using data::Partition;
using loru_test::ContainsSubstring;

namespace {

/// `count` samples of `classes` classes; class sizes differ and labels are not in order. Five groups.
Dataset labelled(Index count, std::int32_t classes) {
  Dataset set{
      "labelled", {1, 1, 1},          classes, std::vector<std::uint8_t>(static_cast<std::size_t>(count)), {},
      {},         {1.0, {0.0}, {1.0}}};
  rng::Stream stream{11};
  for (Index i = 0; i < count; ++i) {
    set.labels().push_back(
        static_cast<std::int32_t>(std::min(stream.below(classes), stream.below(classes + 2))));
    set.groups.push_back(static_cast<std::int32_t>(10 * (i % 5)));
  }
  return set;
}

/// Equal classes, as in MNIST-like sets.
Dataset balanced(Index count, std::int32_t classes) {
  Dataset set = labelled(count, classes);
  for (Index i = 0; i < count; ++i)
    set.labels()[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % classes);
  return set;
}

void check_invariants(const Dataset& set, const Partition& parts, Index clients) {
  REQUIRE(static_cast<Index>(parts.size()) == clients);
  std::vector<Index> all;
  for (const auto& part : parts) {
    CHECK_FALSE(part.empty());
    CHECK(std::is_sorted(part.begin(), part.end()));
    all.insert(all.end(), part.begin(), part.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<Index> expected(static_cast<std::size_t>(set.size()));
  std::iota(expected.begin(), expected.end(), Index{0});
  CHECK(all == expected);
}

}  // namespace

TEST_CASE("partition: every sample to exactly one client, no client empty, one seed one partition") {
  const std::string kind = GENERATE(as<std::string>{}, "iid", "dirichlet", "shards", "quantity");
  const Dataset set = labelled(997, 10);
  for (const Index clients : {5, 37, 500, 997}) {
    CAPTURE(kind, clients);
    data::PartitionOptions options{.kind = kind, .clients = clients, .alpha = 0.1, .seed = 3};
    const Partition parts = data::partition(set, options);
    check_invariants(set, parts, clients);
    CHECK(data::partition(set, options) == parts);
    options.seed = 4;
    CHECK(data::partition(set, options) != parts);
  }
}

TEST_CASE("partition: one client has everything") {
  const Dataset set = labelled(50, 3);
  check_invariants(set, data::iid(set, {.clients = 1}), 1);
  check_invariants(set, data::dirichlet(set, {.clients = 1}), 1);
  check_invariants(set, data::quantity(set, {.clients = 1}), 1);
  check_invariants(set, data::natural(set, {.clients = 1}), 1);
  check_invariants(set, data::shards(set, {.clients = 1, .classes_per_client = 3}), 1);
}

TEST_CASE("iid: sizes differ by at most one") {
  const auto summary = data::describe(labelled(1003, 10), data::iid(labelled(1003, 10), {.clients = 100}));
  CHECK(summary.samples.min == 10);
  CHECK(summary.samples.max == 11);
}

TEST_CASE("dirichlet: alpha sets the skew, shares average to 1 / clients") {
  const Dataset set = balanced(20000, 10);
  const auto distance = [&](double alpha) {
    return data::describe(set, data::dirichlet(set, {.clients = 50, .alpha = alpha})).distance.median;
  };
  CHECK(distance(0.05) > 0.75);
  CHECK(distance(0.3) > 0.4);
  CHECK(distance(0.3) < 0.65);
  CHECK(distance(1000.0) < 0.06);

  // The share of one client in one class is Beta(alpha, alpha (K - 1)): variance (K - 1) / (K^2 (alpha K +
  // 1)).
  const double alpha = 0.5, K = 10;
  double sum = 0.0, squares = 0.0;
  int draws = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed)
    for (const auto& client :
         data::describe(set, data::dirichlet(set, {.clients = 10, .alpha = alpha, .seed = seed})).clients)
      for (const Index n : client.per_class) {
        const double share = static_cast<double>(n) / 2000;
        sum += share;
        squares += share * share;
        ++draws;
      }
  const double mean = sum / draws, variance = squares / draws - mean * mean;
  CHECK(mean == Approx(1 / K).epsilon(1e-9));
  CHECK(variance == Approx((K - 1) / (K * K * (alpha * K + 1))).epsilon(0.1));
}

TEST_CASE("dirichlet: a tiny alpha ends, with no client empty") {
  const Dataset set = labelled(120, 4);
  check_invariants(set, data::dirichlet(set, {.clients = 100, .alpha = 1e-3}), 100);
  check_invariants(set, data::dirichlet(set, {.clients = 120, .alpha = 1e-3}), 120);
}

TEST_CASE("fill_empty: empty clients take from the largest, the first of equals") {
  Partition parts{{}, {1, 2, 3}, {4, 5, 6}, {}, {7}};
  data::detail::fill_empty(parts);
  CHECK(parts == Partition{{3}, {1, 2}, {4, 5}, {6}, {7}});
}

TEST_CASE("shards: k different classes each, equal sizes where classes are equal") {
  const Dataset set = balanced(6000, 10);
  for (const Index k : {1, 2, 3, 7, 10}) {
    CAPTURE(k);
    const auto summary = data::describe(set, data::shards(set, {.clients = 40, .classes_per_client = k}));
    CHECK(summary.classes.min == static_cast<double>(k));
    CHECK(summary.classes.max == static_cast<double>(k));
    CHECK(summary.samples.max - summary.samples.min <= static_cast<double>(k));
  }
  const auto odd = data::describe(set, data::shards(set, {.clients = 7, .classes_per_client = 3}));
  CHECK(odd.classes.max == 3);
}

TEST_CASE("quantity: sizes follow the power law, labels stay mixed") {
  const Dataset set = balanced(10000, 10);
  std::vector<Index> sizes;
  for (const auto& part : data::quantity(set, {.clients = 20, .skew = 1.0}))
    sizes.push_back(static_cast<Index>(part.size()));
  std::sort(sizes.rbegin(), sizes.rend());
  double total = 0.0;
  for (int k = 1; k <= 20; ++k) total += 1.0 / k;
  for (std::size_t k = 0; k < 20; ++k)
    CHECK(std::abs(static_cast<double>(sizes[k]) - 1 - 9980 / (static_cast<double>(k + 1) * total)) <= 1.0);
  const auto equal = data::describe(set, data::quantity(set, {.clients = 20, .skew = 0.0}));
  CHECK(equal.samples.min == 500);
  CHECK(equal.samples.max == 500);
  CHECK(data::describe(set, data::quantity(set, {.clients = 20, .skew = 1.0})).distance.median < 0.1);
  check_invariants(set, data::quantity(set, {.clients = 100, .skew = 8.0}), 100);
}

TEST_CASE("natural: a client for each group, or groups dealt round robin") {
  const Dataset set = labelled(23, 3);
  const Partition five = data::natural(set);
  check_invariants(set, five, 5);
  CHECK(five[1] == std::vector<Index>{1, 6, 11, 16, 21});
  CHECK(data::natural(set, {.clients = 5}) == five);
  const Partition two = data::natural(set, {.clients = 2});
  check_invariants(set, two, 2);
  CHECK(std::vector<Index>(two[1].begin(), two[1].begin() + 4) == std::vector<Index>{1, 3, 6, 8});
  CHECK_THROWS_WITH(data::natural(set, {.clients = 6}),
                    "natural: clients: 6 exceed the 5 groups of labelled");
  CHECK_THROWS_AS(data::natural(set, {.clients = -1}), ConfigError);
  Dataset none = set;
  none.groups.clear();
  CHECK_THROWS_WITH(data::natural(none), "natural: labelled names no natural clients (groups)");
}

TEST_CASE("partition: options that make no sense") {
  const Dataset set = labelled(50, 4);
  for (const std::string& kind : data::partition_kinds()) {
    CAPTURE(kind);
    CHECK_THROWS_AS(data::partition(set, {.kind = kind, .clients = 0}), ConfigError);
    CHECK_THROWS_WITH(data::partition(set, {.kind = kind, .clients = 0}),
                      kind + ": clients: expected at least 1, got 0");
    CHECK_THROWS_WITH(data::partition(set, {.kind = kind, .clients = 51}),
                      kind + ": clients: 51 exceed the 50 samples of labelled");
  }
  CHECK_THROWS_WITH(data::dirichlet(set, {.clients = 5, .alpha = 0.0}),
                    "dirichlet: alpha: expected a positive number, got 0");
  CHECK_THROWS_AS(data::dirichlet(set, {.clients = 5, .alpha = std::nan("")}), ConfigError);
  CHECK_THROWS_AS(data::dirichlet(set, {.clients = 5, .alpha = INFINITY}), ConfigError);
  CHECK_THROWS_WITH(data::shards(set, {.clients = 5, .classes_per_client = 0}),
                    "shards: classes_per_client: expected 1 to 4, got 0");
  CHECK_THROWS_WITH(data::shards(set, {.clients = 5, .classes_per_client = 5}),
                    "shards: classes_per_client: expected 1 to 4, got 5");
  CHECK_THROWS_WITH(data::shards(set, {.clients = 1, .classes_per_client = 2}),
                    "shards: clients: 1 clients of 2 classes cannot hold the 4 classes of labelled");
  CHECK_THROWS_WITH(data::quantity(set, {.clients = 5, .skew = -1.0}),
                    "quantity: skew: expected a number of at least 0, got -1");
  CHECK_THROWS_AS(data::partition(set, {.kind = "dirichlett"}), ConfigError);
  CHECK_THROWS_WITH(data::partition(set, {.kind = "dirichlett"}),
                    "partition: kind: unknown \"dirichlett\", nearest is \"dirichlet\"");
}

TEST_CASE("describe: counts, classes and total variation distance") {
  Dataset set = balanced(8, 2);
  const auto summary = data::describe(set, {{0, 2, 4}, {1, 3, 5, 7}, {6}});
  CHECK(summary.clients[0].samples == 3);
  CHECK(summary.clients[0].per_class == std::vector<Index>{3, 0});
  CHECK(summary.clients[0].classes == 1);
  CHECK(summary.clients[0].distance == Approx(0.5));
  CHECK(summary.samples.min == 1);
  CHECK(summary.samples.median == 3);
  CHECK(summary.samples.max == 4);
  const auto mixed = data::describe(set, {{0, 1}, {2, 3, 4, 5, 6, 7}});
  CHECK(mixed.samples.median == 4);
  CHECK(mixed.classes.min == 2);
  CHECK(mixed.distance.max == Approx(0.0).margin(1e-12));
  std::ostringstream out;
  out << mixed;
  CHECK_THAT(out.str(), ContainsSubstring("2 clients\n") && ContainsSubstring("min 2  median 4  max 6"));
}

TEST_CASE("partition: by label needs classes, the others take any targets") {
  Dataset set = labelled(40, 4);
  set.targets = data::Numbers{2, std::vector<float>(80)};
  for (const char* kind : {"iid", "quantity", "natural"})
    check_invariants(set, data::partition(set, {.kind = kind, .clients = 5}), 5);
  CHECK_THROWS_AS(data::partition(set, {.kind = "shards", .clients = 5}), ConfigError);
  CHECK_THROWS_WITH(data::partition(set, {.kind = "dirichlet", .clients = 5}),
                    "dirichlet: labelled: expected classes as targets, got numbers");
  CHECK_THROWS_WITH(data::describe(set, Partition(1)),
                    "describe: labelled: expected classes as targets, got numbers");
}
