// How well each client is served.
#include <set>

#include <loru/data/partition/shards.hpp>

#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("A client's test images have its own label proportions") {
  data::Dataset train{.name = "train", .classes = 4}, test{.name = "test", .classes = 4};
  train.labels() = {0, 0, 0, 1, 1, 2, 3, 3};
  for (int i = 0; i < 40; ++i) test.labels().push_back(i % 4 == 3 ? 0 : i % 4);  // twenty of 0, none of 3
  const rng::Stream stream(1, rng::Purpose::personal_test, 0, 7);
  const std::vector<Index> samples{0, 1, 2, 3, 4, 6, 7};  // classes 0, 1 and 3, in 3 : 2 : 2
  const auto chosen = fl::personal_test(train, samples, test, 16, stream);
  std::map<Index, Index> counts;
  for (const Index i : chosen) ++counts[test.label(i)];
  CHECK(counts == std::map<Index, Index>{{0, 10}, {1, 6}});  // 9.6 and 6.4
  CHECK(std::set(chosen.begin(), chosen.end()).size() == 16);
  CHECK(fl::personal_test(train, samples, test, 16, stream) == chosen);
  CHECK(fl::personal_test(train, samples, test, 16, rng::Stream(1, rng::Purpose::personal_test, 0, 8)) !=
        chosen);
  CHECK(fl::personal_test(train, samples, test, 100, stream).size() == 100);  // with repetition
  CHECK(fl::personal_test(train, std::vector<Index>{6}, test, 5, stream).empty());
  CHECK(fl::worst_decile({0.5, 0.2, 0.9}) == 0.2);
  std::vector<double> twenty(20, 1.0);
  twenty[3] = 0.2;
  twenty[9] = 0.4;
  CHECK(fl::worst_decile(twenty) == Approx(0.3));
}

TEST_CASE("Personal accuracy: own models and the global one, the same for any number of threads") {
  const auto parts = data::shards(small_data().train, {.clients = 12, .classes_per_client = 1});
  const auto measure = [&](const auto& algorithm, Index rounds, Index threads, fl::PersonalOptions o = {}) {
    auto model = small_model<float>();
    fl::AnyAlgorithm<float>(algorithm).parametrise(model, {.rank = 2});
    fl::Simulation<float> simulation{model, algorithm, small_data(), parts, simulated(threads)};
    for (Index i = 0; i < rounds; ++i) simulation.run_round(false);
    const auto before = bits(simulation.model());
    const auto result = simulation.personal_accuracy(o);
    CHECK(bits(simulation.model()) == before);
    return result;
  };
  const auto same = [](const fl::PersonalAccuracy& a, const fl::PersonalAccuracy& b) {
    return a.mean == b.mean && a.worst_decile == b.worst_decile && a.global_mean == b.global_mean &&
           a.global_worst_decile == b.global_worst_decile && a.clients == b.clients;
  };
  const auto average = measure(fl::FedAvg{}, 2, 1);
  CHECK(average.mean == average.global_mean);
  CHECK(average.worst_decile == average.global_worst_decile);
  CHECK(average.clients == 12);
  CHECK(measure(fl::FedAvg{}, 1, 1, {.clients = 5}).clients == 5);
  const auto floor = measure(fl::Local{}, 3, 1);
  CHECK(floor.mean > floor.global_mean);  // one class each: whoever was chosen knows it
  CHECK(same(measure(fl::Local{}, 3, 3), floor));
  const auto initial = measure(fl::Local{}, 0, 1);
  CHECK(initial.mean == initial.global_mean);
  const fl::PFedLoRU personal{.personal_rank = 2, .personal_alpha = 8.0};
  const auto own = measure(personal, 2, 1);
  CHECK(own.mean > own.global_mean);
  CHECK(same(measure(personal, 2, 3), own));
  CHECK(measure(personal, 0, 1).mean > initial.mean);  // clients never seen fit (L, U)
  CHECK_THROWS_AS(measure(fl::FedAvg{}, 0, 1, {.images = 0}), ConfigError);
}
