// What federations compute, against what they must compute.
#include <loru/lowrank/rank.hpp>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// Local training written out once more: parameters, keyed orders, a fresh optimizer for each round.
template <class T, class Rate>
void plain_training(nn::Model<T>& model, const std::vector<Index>& samples, const fl::ClientOptions& o,
                    Index round, Index client, std::uint64_t seed, bool restart,
                    std::unique_ptr<optim::Sgd<T>>& sgd, Rate rate) {
  std::vector<Variable<T>> parameters;
  for (auto& p : model.parameters())
    if (p.value.requires_grad()) parameters.push_back(p.value);
  if (restart || !sgd)
    sgd = std::make_unique<optim::Sgd<T>>(
        parameters, optim::SgdOptions{o.optimizer.momentum, false, o.optimizer.weight_decay});
  rng::Stream order(seed, rng::Purpose::batches, static_cast<std::uint32_t>(round),
                    static_cast<std::uint32_t>(client));
  std::vector<Index> permuted = samples;
  Index step = 0;
  for (Index epoch = 0; epoch < o.epochs; ++epoch) {
    order.shuffle(std::span(permuted));
    for (std::size_t first = 0; first < permuted.size(); first += static_cast<std::size_t>(o.batch)) {
      const auto last = std::min(permuted.size(), first + static_cast<std::size_t>(o.batch));
      const std::vector<Index> chosen(permuted.begin() + static_cast<std::ptrdiff_t>(first),
                                      permuted.begin() + static_cast<std::ptrdiff_t>(last));
      const auto batch = data::gather<T>(small_data().train, chosen);
      for (auto& p : parameters) p.clear_gradient();
      cross_entropy(model(Variable<T>(batch.inputs), nn::Pass::train()), batch.labels).backward();
      sgd->step(rate(step++));
    }
  }
}

template <class T>
fl::Simulation<T> federation(nn::Model<T> model, fl::AnyAlgorithm<T> algorithm, Index clients, Index cohort,
                             fl::ClientOptions client = momentum_client()) {
  return {std::move(model),
          std::move(algorithm),
          small_data(),
          small_parts(clients),
          {.cohort = cohort, .client = client, .seed = 5, .eval_every = 0}};
}

Tensor<double> outputs(nn::Model<double>& model) {
  std::vector<Index> samples(20);
  std::iota(samples.begin(), samples.end(), Index{0});
  NoGrad guard;
  return model(Variable<double>(data::gather<double>(small_data().test, samples).inputs)).value();
}

}  // namespace

TEMPLATE_TEST_CASE("FedAvg with one client is plain training that restarts its optimizer each round", "",
                   float, double) {
  const std::string name = GENERATE("mlp", "resnet10");
  const auto o = momentum_client();
  auto simulation = federation<TestType>(small_model<TestType>(name), fl::FedAvg{}, 1, 1);
  auto restarted = small_model<TestType>(name), continued = small_model<TestType>(name);
  const auto samples = small_parts(1).samples(0);
  std::unique_ptr<optim::Sgd<TestType>> first, second;
  for (const fl::Round& round : simulation.rounds(3)) {
    const auto rate = [](Index) { return 0.02; };
    plain_training(restarted, samples, o, round.index, 0, 5, true, first, rate);
    plain_training(continued, samples, o, round.index, 0, 5, false, second, rate);
    INFO("round " << round.index);
    REQUIRE(bits(simulation.model()) == bits(restarted));
  }
  CHECK(bits(simulation.model()) != bits(continued));
}

TEST_CASE("Schedules count rounds or local steps") {
  fl::ClientOptions o = momentum_client();
  o.schedule = {.kind = optim::ScheduleKind::cosine, .warmup = 1, .minimum = 0.001};
  o.rounds = 3;
  o.schedule_per_step = GENERATE(false, true);
  auto simulation = federation<float>(small_model<float>(), fl::FedAvg{}, 1, 1, o);
  auto plain = small_model<float>();
  const auto samples = small_parts(1).samples(0);
  const Index steps = o.epochs * ((static_cast<Index>(samples.size()) + 4) / 5);
  std::unique_ptr<optim::Sgd<float>> sgd;
  for (const fl::Round& round : simulation.rounds(3)) {
    const auto rate = [&](Index step) {
      return o.schedule_per_step ? o.schedule.rate(0.02, step, steps)
                                 : o.schedule.rate(0.02, round.index - 1, 3);
    };
    plain_training(plain, samples, o, round.index, 0, 5, true, sgd, rate);
  }
  CHECK(bits(simulation.model()) == bits(plain));
}

TEST_CASE("FedLoRU that never merges is FedLoRA bit for bit") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto fedloru = federation<float>(small_factored<float>(name), fl::FedLoRU{.tau = 1000}, 5, 2);
  auto fedlora = federation<float>(small_factored<float>(name), fl::FedLoRA{}, 5, 2);
  for (Index i = 0; i < 3; ++i) {
    const fl::Round a = fedloru.run_round(false), b = fedlora.run_round(false);
    CHECK(a.cohort == b.cohort);
    CHECK(a.train_loss == b.train_loss);
    CHECK(a.uplink_bytes == b.uplink_bytes);
    CHECK(a.downlink_bytes == b.downlink_bytes);
    CHECK(a.merges == 0);
  }
  CHECK(bits(fedloru.model()) == bits(fedlora.model()));
}

TEST_CASE("A merge with new factors computes what the factors did") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto merged = federation<double>(small_factored<double>(name), fl::FedLoRU{.tau = 2}, 4, 2);
  auto never = federation<double>(small_factored<double>(name), fl::FedLoRA{}, 4, 2);
  const auto start = frozen_weights(merged.model());
  for (Index i = 0; i < 2; ++i) {
    merged.run_round(false);
    never.run_round(false);
  }
  REQUIRE(merged.server().merges() == 1);
  CHECK(close(outputs(merged.model()), outputs(never.model())));
  lowrank::for_each_weight<nn::Factored>(
      merged.model(), [&](const std::string& layer, nn::Factored<double>& w) {
        INFO(layer);
        CHECK(difference(w.base().value(), start.at(layer)) > 1e-6);  // something was learnt and merged
        CHECK(std::all_of(w.b().value().span().begin(), w.b().value().span().end(),
                          [](double b) { return b == 0.0; }));
        CHECK(std::any_of(w.a().value().span().begin(), w.a().value().span().end(),
                          [](double a) { return a != 0.0; }));
      });
}

TEST_CASE("A merge that keeps the factors counts them a second time") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto kept = federation<double>(small_factored<double>(name),
                                 fl::FedLoRU{.tau = 2, .merge = lowrank::MergeKind::keep}, 4, 2);
  auto never = federation<double>(small_factored<double>(name), fl::FedLoRA{}, 4, 2);
  for (Index i = 0; i < 2; ++i) {
    kept.run_round(false);
    never.run_round(false);
  }
  REQUIRE(kept.server().merges() == 1);
  const auto before = lowrank::effective_weights(never.model());
  const auto after = lowrank::effective_weights(kept.model());
  Index layers = 0;
  lowrank::for_each_weight<nn::Factored>(
      never.model(), [&](const std::string& layer, nn::Factored<double>& w) {
        INFO(layer);
        const auto twice = lowrank_compose(before.at(layer), w.a().value(), w.b().value(), w.scale());
        CHECK(close(after.at(layer), twice));
        CHECK(difference(after.at(layer), before.at(layer)) > 1e-6);
        ++layers;
      });
  CHECK(layers == (name == "mlp" ? 1 : 11));
}

TEST_CASE("The accumulated update's rank grows with the merges") {
  auto model = small_factored<float>();
  const auto start = lowrank::effective_weights(model);
  auto simulation = federation<float>(model, fl::FedLoRU{.tau = 1}, 4, 2);
  for (Index merges = 1; merges <= 3; ++merges) {
    simulation.run_round(false);
    CHECK(lowrank::update_rank(lowrank::effective_weights(simulation.model()).at("fc2"), start.at("fc2")) ==
          2 * merges);
  }
  CHECK(same_bits(lowrank::effective_weights(model).at("fc2"),
                  start.at("fc2")));  // the caller's model is its own
}

TEMPLATE_TEST_CASE("The mean of equal updates is the update", "", float, double) {
  rng::Stream random(7);
  for (int trial = 0; trial < 200; ++trial) {
    const Index size = 1 + random.below(40), cohort = 1 + random.below(50);
    Tensor<TestType> x = gaussian<TestType>({size}, static_cast<std::uint64_t>(trial));
    for (TestType& value : x.span()) value *= static_cast<TestType>(std::exp(4.0 * random.normal()));
    fl::Average<TestType> average;
    for (Index k = 0; k < cohort; ++k) {
      fl::Update update{{1, 1, k}, 1 + random.below(100000), 0.3, {}};
      update.state.put("x", x);
      average.add(update);
    }
    const io::Archive mean = average.result();
    const auto y = mean.get<TestType>("x");
    for (Index i = 0; i < size; ++i)
      REQUIRE(y.data()[i] == static_cast<TestType>(fl::fixed::rounded(static_cast<double>(x.data()[i]))));
    REQUIRE(average.loss() == 0.3);
  }
}

namespace {

/// Updates of `cohort` clients, x (size) of numbers of many magnitudes.
template <class T>
std::vector<fl::Update> updates_of(Index cohort, Index size) {
  rng::Stream random(11);
  std::vector<fl::Update> updates;
  for (Index k = 0; k < cohort; ++k) {
    updates.push_back({{1, 1, k}, 1 + random.below(900), random.uniform(), {}});
    auto x = gaussian<T>({size}, static_cast<std::uint64_t>(100 + k));
    for (T& value : x.span()) value = std::ldexp(value, static_cast<int>(random.below(60)) - 30);
    updates.back().state.put("x", x);
  }
  return updates;
}

template <class T>
fl::Average<T> average_of(std::span<const fl::Update> updates) {
  fl::Average<T> average;
  for (const fl::Update& update : updates) average.add(update);
  return average;
}

}  // namespace

TEST_CASE("The mean is the exact one, rounded once") {
  const Index cohort = GENERATE(1, 7, 8, 9, 30);
  const auto updates = updates_of<float>(cohort, 100);
  auto average = average_of<float>(updates);
  const auto mean = average.result().get<float>("x");
  CHECK(average.updates() == cohort);
  for (Index i = 0; i < mean.size(); ++i) {
    __extension__ __int128 sum = 0;  // of multiples of 2⁻⁸⁰
    Index samples = 0;
    for (const fl::Update& update : updates) {
      const double x = fl::fixed::rounded(update.state.get<float>("x").data()[i]);
      sum += static_cast<decltype(sum)>(std::ldexp(x, 80)) * update.samples;
      samples += update.samples;
    }
    const auto expected = std::ldexp(static_cast<long double>(sum) / static_cast<long double>(samples), -80);
    CHECK(mean.data()[i] == static_cast<float>(expected));
  }
}

TEMPLATE_TEST_CASE("The mean has the same bits in any order and from any partial sums", "", float, double) {
  auto updates = updates_of<TestType>(30, 100);
  auto whole = average_of<TestType>(updates);
  const auto expected = whole.result().template get<TestType>("x");
  std::reverse(updates.begin(), updates.end());
  std::swap(updates[3], updates[21]);
  auto turned = average_of<TestType>(updates);
  CHECK(same_bits(turned.result().template get<TestType>("x"), expected));
  for (const std::size_t cut : {0u, 1u, 8u, 13u, 30u}) {
    const std::span all(updates);
    auto joined = average_of<TestType>(all.first(cut));
    joined.add(average_of<TestType>(all.subspan(cut)));
    CHECK(same_bits(joined.result().template get<TestType>("x"), expected));
    CHECK(joined.loss() == whole.loss());
    CHECK(joined.samples() == whole.samples());
    CHECK(joined.updates() == 30);
  }
  fl::Average<TestType> other;
  fl::Update update{{1, 1, 0}, 1, 0.0, {}};
  update.state.put("y", Tensor<TestType>({100}));
  other.add(update);
  CHECK_THROWS_WITH(whole.add(other), "aggregate: expected sums of the same tensors");
}

TEST_CASE("The mean refuses what leaves the range of its sums") {
  fl::Average<float> average;
  const auto update = [](Index samples, float value, double loss = 0.0) {
    fl::Update u{{1, 4, 7}, samples, loss, io::Archive("update")};
    u.state.put("a", Tensor<float>({2}, {1.0f, value}));
    return u;
  };
  const auto diverged = [&](const fl::Update& u) {
    return message_of<DivergedError>([&] { average.add(u); });
  };
  CHECK(message_of<DataError>([&] { average.add(update(Index{1} << 29, 1.0f)); }) ==
        "aggregate: update of client 7: expected at most 536870911 samples, got 536870912");
  CHECK(diverged(update(60, -3e38f)) ==
        "round 4, client 7: a: expected samples times values below 2^45, got 60 times 3e+38");
  CHECK(diverged(update(60, 1.0f, -1e300)) ==
        "round 4, client 7: loss: expected samples times values below 2^45, got 60 times 1e+300");
  CHECK(average.updates() == 0);
  const float large = 0x1.fp44f;
  Index taken = 0;  // 2⁵⁶ / 0x1.fp44
  for (; taken < 3000; ++taken) try {
      average.add(update(1, -large));
    } catch (const DivergedError&) {
      break;
    }
  CHECK(taken == 2114);
  CHECK(average.result().get<float>("a").data()[1] == -large);
}

TEST_CASE("The mean refuses more updates than its sums have room for") {
  fl::Average<float> sum;
  fl::Update update{.head = {1, 1, 7}, .samples = 1, .loss = 0.5, .state = io::Archive("update")};
  update.state.put("a", Tensor<float>({1}, {0x1.8p-40f}));
  sum.add(update);
  const Index most = fl::Average<float>::most_updates;
  CHECK(most == ((Index{1} << 27) - 1) / 3);
  while (2 * sum.updates() <= most) sum.add(fl::Average<float>(sum));
  CHECK(message_of<DataError>([&] { sum.add(fl::Average<float>(sum)); }) ==
        concat("aggregate: expected at most ", most, " updates, got ", sum.updates(), " and ", sum.updates(),
               " more"));
  CHECK(sum.updates() == Index{1} << 25);
  CHECK(sum.result().get<float>("a").data()[0] == 0x1.8p-40f);
  CHECK(sum.loss() == 0.5);
}

TEST_CASE("The mean reads numbers wherever they lie in a message") {
  const Tensor<float> x({3}, {1, 2, 4});
  std::vector<std::byte> bytes(1 + 3 * sizeof(float));
  std::memcpy(bytes.data() + 1, x.data(), 3 * sizeof(float));
  fl::Update update{{1, 1, 0}, 3, 0.0, io::Archive("update")};
  update.state.put_raw("x", {io::DType::f32, x.shape(), std::span(bytes).subspan(1)});
  fl::Average<float> average;
  for (Index k = 0; k < 9; ++k) average.add(update);
  CHECK(same_bits(average.result().get<float>("x"), x));
  std::memset(bytes.data() + 1, 0xFF, sizeof(float));  // not a number
  CHECK(message_of<DivergedError>([&] { average.add(update); }) ==
        "round 1, client 0: x is not finite after training");
}

TEST_CASE("The mean refuses updates that do not fit, as a whole") {
  fl::Average<float> average;
  CHECK_THROWS_AS(average.result(), Error);
  const auto update = [](Index client, std::map<std::string, Tensor<float>> tensors) {
    fl::Update u{{1, 4, client}, 1, 0.0, io::Archive("update")};
    for (const auto& [name, tensor] : tensors) u.state.put(name, tensor);
    return u;
  };
  average.add(update(0, {{"a", Tensor<float>({2}, {1, 2})}, {"b", Tensor<float>({1}, {3})}}));
  const auto error = [&](const fl::Update& u) { return message_of<DataError>([&] { average.add(u); }); };
  CHECK(error(update(7, {{"a", Tensor<float>({2}, {9, 9})}})) ==
        "aggregate: update of client 7: expected 2 tensors, got 1");
  CHECK(error(update(7, {{"a", Tensor<float>({2}, {9, 9})}, {"c", Tensor<float>({1}, {9})}})) ==
        "aggregate: update of client 7: unexpected tensor c");
  CHECK_THAT(error(update(7, {{"a", Tensor<float>({2}, {9, 9})}, {"b", Tensor<float>({2}, {9, 9})}})),
             ContainsSubstring("tensor b: expected shape (1), got (2)"));
  const float infinite = std::numeric_limits<float>::infinity();
  CHECK(message_of<DivergedError>([&] {
          average.add(update(7, {{"a", Tensor<float>({2}, {9, 9})}, {"b", Tensor<float>({1}, {infinite})}}));
        }) == "round 4, client 7: b is not finite after training");
  average.add(update(1, {{"a", Tensor<float>({2}, {3, 6})}, {"b", Tensor<float>({1}, {5})}}));
  const io::Archive mean = average.result();
  CHECK(same_bits(mean.get<float>("a"), Tensor<float>({2}, {2, 4})));
  CHECK(same_bits(mean.get<float>("b"), Tensor<float>({1}, {4})));
}
