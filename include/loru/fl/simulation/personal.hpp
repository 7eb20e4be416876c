#pragma once
// Personal accuracy: each client's personal model on test images in the client's own label proportions.

#include <algorithm>
#include <numeric>
#include <optional>

#include <loru/data/partition/common.hpp>
#include <loru/fl/client/store.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/fl/simulation/sampler.hpp>
#include <loru/train/evaluate.hpp>

namespace loru::inline LORU_ISA::fl {

struct PersonalOptions {
  Index images = 100;   ///< test images a client
  Index clients = 200;  ///< at most this many clients are evaluated, chosen by the seed
};

/// Accuracy of a client's personal model and of the global model on the same images.
struct ClientAccuracy {
  Index client = 0;
  double own = 0.0, global = 0.0;
};

/// Mean accuracy over clients, and that of the worst tenth of them (at least one), of the clients' personal
/// models and of the global model.
struct PersonalAccuracy {
  double mean = 0.0, worst_decile = 0.0;
  double global_mean = 0.0, global_worst_decile = 0.0;
  Index clients = 0;
  std::vector<ClientAccuracy> each = {};  ///< what these are taken of
};

/// `count` test samples in the proportions of the labels of a client's training samples, as whole numbers by
/// largest remainders; within a class without repetition until it is used up. Classes that the test set lacks
/// are left out; nothing if it has none of the client's.
inline std::vector<Index> personal_test(const data::Dataset& train, std::span<const Index> samples,
                                        const data::Dataset& test, Index count, const rng::Stream& stream) {
  const auto classes = static_cast<std::size_t>(std::max(train.classes, test.classes));
  std::vector<std::vector<Index>> tests(classes);
  for (Index i = 0; i < test.size(); ++i) tests[static_cast<std::size_t>(test.label(i))].push_back(i);
  std::vector<Index> own(classes);
  Index total = 0;
  for (const Index i : samples)
    if (const auto c = static_cast<std::size_t>(train.label(i)); !tests[c].empty()) ++own[c], ++total;
  if (total == 0) return {};
  std::vector<Index> quota(classes);
  std::vector<std::size_t> order(classes);
  Index given = 0;
  for (std::size_t c = 0; c < classes; ++c) given += quota[c] = count * own[c] / total;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const Index x = count * own[a] % total, y = count * own[b] % total;
    return x != y ? x > y : a < b;
  });
  for (std::size_t i = 0; given < count; ++i, ++given) ++quota[order[i]];
  std::vector<Index> chosen;
  for (std::size_t c = 0; c < classes; ++c) {
    rng::Stream within = stream.fork(static_cast<std::uint32_t>(c));
    within.shuffle(std::span(tests[c]));
    for (Index i = 0; i < quota[c]; ++i)
      chosen.push_back(tests[c][static_cast<std::size_t>(i) % tests[c].size()]);
  }
  return chosen;
}

/// Mean of the smallest tenth, at least one.
inline double worst_decile(std::vector<double> values) {
  const std::size_t tenth = std::max<std::size_t>(1, values.size() / 10);
  std::sort(values.begin(), values.end());
  return std::accumulate(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(tenth), 0.0) /
         static_cast<double>(tenth);
}

/// Of these clients.
inline PersonalAccuracy personal_accuracy(std::vector<ClientAccuracy> each) {
  if (each.empty()) return {};
  std::vector<double> own, global;
  for (const ClientAccuracy& a : each) own.push_back(a.own), global.push_back(a.global);
  const auto mean = [](const std::vector<double>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  };
  const auto clients = static_cast<Index>(each.size());
  return {mean(own), worst_decile(own), mean(global), worst_decile(global), clients, std::move(each)};
}

/// Evaluates a client's personal model and the global model on the client's test images (stream (seed,
/// personal_test, client)). The turn's model is a copy of the server's at the client's ranks. A client
/// without state has the global model or what the algorithm's hook makes of the copy; if the hook diverges,
/// the global model. Nothing if there are no test images of its classes. The client's state is not changed.
template <class T, class D>
std::optional<ClientAccuracy> client_accuracy(const Turn<T, D>& turn, nn::Model<T, D>& global,
                                              const AnyAlgorithm<T, D>& algorithm, const DeviceData<D>& test,
                                              Index images) {
  const Index client = turn.head.client;
  const rng::Stream stream(turn.head.seed, rng::Purpose::personal_test, 0,
                           static_cast<std::uint32_t>(client));
  const auto chosen = personal_test(turn.dataset.dataset(), turn.samples, test.dataset(), images, stream);
  if (chosen.empty()) return std::nullopt;
  WorkerPool here(1);
  const double common = train::evaluate(global, test, chosen, here, turn.task).accuracy;
  ClientAccuracy accuracy{client, common, common};
  if (turn.state.size() == 0 && !algorithm.personalise) return accuracy;  // it has the global one
  try {
    algorithm.personalise ? algorithm.personalise(turn) : get_own(turn, algorithm.personal);
    accuracy.own = train::evaluate(turn.model, test, chosen, here, turn.task).accuracy;
  } catch (const DivergedError&) {}
  return accuracy;
}

}  // namespace loru::inline LORU_ISA::fl
