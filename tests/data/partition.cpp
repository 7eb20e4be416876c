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
    const Index first = stream.below(classes + 2), second = stream.below(classes);
    set.labels().push_back(static_cast<std::int32_t>(std::min(first, second)));
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

using Lists = std::vector<std::vector<Index>>;

Lists lists_of(const Partition& parts) {
  Lists lists;
  for (Index k = 0; k < parts.clients(); ++k) lists.push_back(parts.samples(k));
  return lists;
}

void check_invariants(const Dataset& set, const Partition& parts, Index clients) {
  REQUIRE(parts.clients() == clients);
  std::vector<Index> all;
  for (Index k = 0; k < clients; ++k) {
    const auto part = parts.samples(k);
    CHECK_FALSE(part.empty());
    CHECK(parts.size(k) == std::ssize(part));
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
    CHECK(lists_of(data::partition(set, options)) == lists_of(parts));
    options.seed = 4;
    CHECK(lists_of(data::partition(set, options)) != lists_of(parts));
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
  Lists parts{{}, {1, 2, 3}, {4, 5, 6}, {}, {7}};
  data::detail::fill_empty(parts);
  CHECK(parts == Lists{{3}, {1, 2}, {4, 5}, {6}, {7}});
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
  const Partition skewed = data::quantity(set, {.clients = 20, .skew = 1.0});
  for (Index k = 0; k < 20; ++k) sizes.push_back(skewed.size(k));
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
  CHECK(five.samples(1) == std::vector<Index>{1, 6, 11, 16, 21});
  CHECK(lists_of(data::natural(set, {.clients = 5})) == lists_of(five));
  const Partition two = data::natural(set, {.clients = 2});
  check_invariants(set, two, 2);
  auto second = two.samples(1);
  second.resize(4);
  CHECK(second == std::vector<Index>{1, 3, 6, 8});
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
    if (kind == "virtual") continue;
    CHECK_THROWS_WITH(
        data::partition(set, {.kind = kind, .clients = 51}),
        "partition: " + kind +
            ": expected at most 50 clients, one for each sample, got 51 (kind \"virtual\" draws "
            "samples for any number)");
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
  const auto summary = data::describe(set, Lists{{0, 2, 4}, {1, 3, 5, 7}, {6}});
  CHECK(summary.clients[0].samples == 3);
  CHECK(summary.clients[0].per_class == std::vector<Index>{3, 0});
  CHECK(summary.clients[0].classes == 1);
  CHECK(summary.clients[0].distance == Approx(0.5));
  CHECK(summary.samples.min == 1);
  CHECK(summary.samples.median == 3);
  CHECK(summary.samples.max == 4);
  const auto mixed = data::describe(set, Lists{{0, 1}, {2, 3, 4, 5, 6, 7}});
  CHECK(mixed.samples.median == 4);
  CHECK(mixed.classes.min == 2);
  CHECK(mixed.distance.max == Approx(0.0).margin(1e-12));
  std::ostringstream out;
  out << mixed;
  CHECK_THAT(out.str(), ContainsSubstring("2 clients\n") && ContainsSubstring("min 2  median 4  max 6"));
  const auto first = data::describe(set, Lists{{0, 2, 4}, {1, 3, 5, 7}, {6}}, 2);
  CHECK(first.clients.size() == 2);
  CHECK(first.samples.min == 3);
  out.str("");
  out << first;
  CHECK_THAT(out.str(), ContainsSubstring("3 clients, the first 2 of them counted\n"));
}

TEST_CASE("partition: by label needs classes, the others take any targets") {
  Dataset set = labelled(40, 4);
  set.targets = data::Numbers{2, std::vector<float>(80)};
  for (const char* kind : {"iid", "quantity", "natural"})
    check_invariants(set, data::partition(set, {.kind = kind, .clients = 5}), 5);
  CHECK_THROWS_AS(data::partition(set, {.kind = "shards", .clients = 5}), ConfigError);
  CHECK_THROWS_WITH(data::partition(set, {.kind = "dirichlet", .clients = 5}),
                    "dirichlet: labelled: expected classes as targets, got numbers");
  CHECK_THROWS_WITH(data::describe(set, Lists(1)),
                    "describe: labelled: expected classes as targets, got numbers");
  CHECK_THROWS_WITH(data::partition(set, {.kind = "virtual", .clients = 5}),
                    "virtual: labelled: expected classes as targets, got numbers");
  CHECK(data::partition(set, {.kind = "virtual", .clients = 5, .alpha = 0.0}).samples(4).size() == 50);
}

TEST_CASE("partition: a handle on lists of samples") {
  CHECK(Partition().clients() == 0);
  CHECK(Partition().least() == 0);
  const Lists lists{{4, 7, 0xffffffff}, {}, {2}};
  const Partition parts = lists, copy = parts;
  CHECK(lists_of(copy) == lists);
  CHECK(copy.size(0) == 3);
  CHECK(copy.size(1) == 0);
  CHECK(copy.least() == 0);
  CHECK(copy.most() == 3);
  CHECK(Partition(Lists{{1, 2}, {3, 4, 5}}).least() == 2);
  CHECK_THROWS_WITH(parts.samples(3), "partition: expected a client in 0 .. 2, got 3");
  CHECK_THROWS_WITH(parts.size(-1), "partition: expected a client in 0 .. 2, got -1");
  for (const Index sample : {Index{-1}, Index{1} << 32})
    CHECK_THROWS_WITH(Partition(Lists{{sample}}),
                      "partition: expected samples in 0 .. 2^32 - 1, got " + std::to_string(sample));
}

TEST_CASE("virtual: client k is the same whatever the number of clients is, and another with another seed") {
  const Dataset set = labelled(997, 10);
  const double alpha = GENERATE(0.0, 0.1, 0.3, 1e3);
  const auto clients = [&](Index count, std::uint64_t seed = 3) {
    return data::virtual_clients(set, {.clients = count, .samples = 20, .alpha = alpha, .seed = seed});
  };
  const Partition few = clients(5), all = clients(0xffffffff);
  CHECK(all.clients() == 0xffffffff);
  CHECK(all.least() == 20);
  CHECK(all.most() == 20);
  for (Index k = 0; k < 5; ++k) {
    const auto samples = few.samples(k);
    REQUIRE(samples.size() == 20);
    CHECK(std::is_sorted(samples.begin(), samples.end()));
    CHECK(samples.front() >= 0);
    CHECK(samples.back() < 997);
    CHECK(all.samples(k) == samples);
    CHECK(all.samples(k + 1) != samples);
    CHECK(clients(5, 4).samples(k) != samples);
  }
  CHECK(all.samples(0xfffffffe).size() == 20);
  CHECK_THROWS_WITH(few.samples(5), "partition: expected a client in 0 .. 4, got 5");
}

TEST_CASE("virtual: draws that a seed has had since there are virtual clients") {
  const Dataset set = labelled(997, 10);
  const auto samples = [&](double alpha) {
    return data::virtual_clients(set, {.clients = 9, .samples = 6, .alpha = alpha, .seed = 3}).samples(7);
  };
  CHECK(samples(0.0) == std::vector<Index>{282, 400, 603, 780, 856, 965});
  CHECK(samples(0.3) == std::vector<Index>{55, 293, 400, 585, 654, 809});
}

TEST_CASE("virtual: alpha sets the mix of the classes that there are, all of them equally likely") {
  Dataset set = labelled(4000, 10);
  for (auto& label : set.labels())
    if (label == 4) label = 5;  // no sample has class 4
  const auto summary = [&](double alpha) {
    return data::describe(set, data::virtual_clients(set, {.clients = 2000, .samples = 40, .alpha = alpha}));
  };
  const auto mean_share = [](const data::PartitionSummary& s, std::size_t c) {
    double share = 0.0;
    for (const auto& client : s.clients) share += static_cast<double>(client.per_class[c]) / 40.0 / 2000.0;
    return share;
  };
  CHECK(summary(0.02).classes.median <= 2);
  CHECK(summary(0.3).classes.median > 2);
  CHECK(summary(0.3).classes.median < 8);
  CHECK(summary(1000.0).classes.median == 9);
  for (const double alpha : {0.1, 1.0, 1000.0}) {
    const auto s = summary(alpha);
    CHECK(mean_share(s, 4) == 0.0);
    for (const std::size_t c : {0u, 3u, 5u, 9u}) CHECK(mean_share(s, c) == Approx(1.0 / 9).margin(0.02));
  }
  // iid: the data set's own mix, and every sample alike.
  const auto iid = summary(0.0);
  CHECK(iid.distance.median < 0.2);
  const Partition parts = data::virtual_clients(set, {.clients = 2000, .samples = 40, .alpha = 0.0});
  std::vector<Index> drawn(4000);
  for (Index k = 0; k < 2000; ++k)
    for (const Index i : parts.samples(k)) ++drawn[static_cast<std::size_t>(i)];
  double chi = 0.0;  // of 3999 degrees of freedom
  for (const Index n : drawn) chi += (static_cast<double>(n) - 20.0) * (static_cast<double>(n) - 20.0) / 20.0;
  CHECK(chi == Approx(3999.0).margin(5.0 * std::sqrt(2.0 * 3999.0)));
}

TEST_CASE("virtual: options that make no sense") {
  const Dataset set = labelled(50, 4);
  CHECK_THROWS_WITH(data::virtual_clients(set, {.clients = Index{1} << 32}),
                    "virtual: clients: expected at most 4294967295, got 4294967296");
  CHECK_THROWS_WITH(data::virtual_clients(set, {.samples = 0}),
                    "virtual: samples: expected 1 .. 536870911, got 0");
  CHECK_THROWS_WITH(data::virtual_clients(set, {.samples = Index{1} << 40}),
                    "virtual: samples: expected 1 .. 536870911, got 1099511627776");
  CHECK_THROWS_WITH(data::virtual_clients(set, {.alpha = -0.1}),
                    "virtual: alpha: expected a number of at least 0, got -0.1");
  CHECK_THROWS_AS(data::virtual_clients(set, {.alpha = INFINITY}), ConfigError);
  CHECK_THROWS_WITH(data::virtual_clients(labelled(0, 4), {}),
                    "virtual: labelled: expected 1 to 4294967295 samples, got 0");
}
