#pragma once
// Personal accuracy: each client's personal model on test images in the client's own label proportions.

#include <algorithm>
#include <numeric>

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

/// Evaluates the clients' personal models and the global model on each client's test images (stream (seed,
/// personal_test, client)). A client without state has the global model or what the algorithm's hook makes of
/// it; if the hook diverges, the global model. Clients of whose classes there are no test images are left
/// out; if targets are not classes, all clients are. States are not changed.
template <class T, class D>
PersonalAccuracy personal_accuracy(Server<T, D>& server, nn::Model<T, D>& global, ClientStore& store,
                                   const DeviceData<D>& train, const DeviceData<D>& test,
                                   const data::Partition& parts, const ClientOptions& client,
                                   const PersonalOptions& o, WorkerPool& pool,
                                   const train::Task<T, D>& task = train::classification<T, D>()) {
  if (!std::holds_alternative<data::Labels>(train.dataset().targets)) return {};
  require<ConfigError>(o.images >= 1 && o.clients >= 1,
                       "personal evaluation: expected images and clients, got ", o.images, " and ",
                       o.clients);
  const auto clients = sample_cohort(server.seed(), 0, parts.clients(), std::min(parts.clients(), o.clients));
  const AnyAlgorithm<T, D>& algorithm = server.algorithm();
  constexpr double left_out = -1.0;
  std::vector<ClientAccuracy> each(clients.size());
  pool.for_each(static_cast<Index>(clients.size()), [&](Index i) {
    const auto at = static_cast<std::size_t>(i);
    const Index k = clients[at];
    each[at] = {k, left_out, left_out};
    const std::vector<Index> samples = parts.samples(k);
    const rng::Stream stream(server.seed(), rng::Purpose::personal_test, 0, static_cast<std::uint32_t>(k));
    const auto images = personal_test(train.dataset(), samples, test.dataset(), o.images, stream);
    if (images.empty()) return;
    each[at].own = each[at].global = train::evaluate(global, test, images, pool, task).accuracy;
    auto kept = store.load(k);
    if (!kept && !algorithm.personalise) return;  // its personal model is the global one
    io::Archive state = kept ? *std::move(kept) : io::Archive("state"), nothing;
    nn::Model<T, D> model = server.client_model(k);
    const Head head{server.seed(), std::max<Index>(server.round(), 1), k};
    const Turn<T, D> turn{model, train, samples, client, head, state, nothing, nothing, task};
    try {
      algorithm.personalise ? algorithm.personalise(turn) : get_own(turn, algorithm.personal);
      each[at].own = train::evaluate(model, test, images, pool, task).accuracy;
    } catch (const DivergedError&) {}
  });
  std::erase_if(each, [](const ClientAccuracy& a) { return a.own == left_out; });
  return personal_accuracy(std::move(each));
}

}  // namespace loru::inline LORU_ISA::fl
