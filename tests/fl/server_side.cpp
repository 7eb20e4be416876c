// The server's optimizers and the rounds that end with a merge.
#include <set>

#include <loru/lowrank/rank.hpp>

#include "mixed.hpp"

using namespace loru;
using namespace loru_test;
using fl::MergeWhen, fl::ServerOptimizer, fl::ServerRule;

namespace {

using State = std::map<std::string, std::vector<double>>;

State state_of(nn::Model<double>& model) {
  State state;
  for (const auto& [name, tensor, role] : model.state()) {
    const auto x = to_layout(tensor, Layout::row_major);
    state[name] = {x.data(), x.data() + x.size()};
  }
  return state;
}

/// A client's update of random numbers.
nn::Model<double> random_model(const nn::Model<double>& like, std::uint64_t seed) {
  nn::Model<double> model = like;
  model.visit(
      {.parameter =
           [&](const std::string&, Variable<double>& v) {
             if (v.requires_grad())
               v.set_value(to_layout(gaussian<double>(v.shape(), ++seed), v.value().layout()));
           },
       .buffer = [&](const std::string&, Tensor<double>& t) { t = gaussian<double>(t.shape(), ++seed); }});
  return model;
}

/// A round whose clients answer with random numbers; returns their mean by samples.
State random_round(fl::Server<double>& server, std::uint64_t seed) {
  State sum;
  server.begin_round();
  for (Index client = 0; client < 2; ++client) {
    server.broadcast(client);
    auto model = random_model(server.model(), seed + 1000 * static_cast<std::uint64_t>(client));
    const Index samples = 3 + 2 * client;
    for (const auto& [name, x] : state_of(model)) {
      auto& total = sum[name];
      total.resize(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) total[i] += static_cast<double>(samples) / 8.0 * x[i];
    }
    server.receive(fl::update_message(model, {5, server.round(), client}, samples, 0.0));
  }
  server.finish_round();
  return sum;
}

/// Averages, and says how many updates its fold was given.
template <class... Traits>
struct SeesUpdates {
  Index* given = nullptr;

  static constexpr std::string_view name = "sees_updates";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::fold, Traits...>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void fold(fl::Server<T, D>& server, const fl::Cohort& cohort) const {
    *given = std::ssize(cohort.updates);
    CHECK(cohort.answers == 2);
    fl::get_state(cohort.mean, server.model(), server.sent());
  }
};

fl::Server<double> server_with(ServerOptimizer o, fl::AnyAlgorithm<double> algorithm = fl::FedLoRA{},
                               std::string_view model = "mlp") {
  return {small_factored<double>(model), std::move(algorithm), 5, {.optimizer = o}};
}

template <class A>
fl::Simulation<double> simulation_of(A algorithm, ServerOptimizer o = {}, Index threads = 1,
                                     const fl::ClientOptions& client = momentum_client()) {
  return {small_factored<double>(),
          algorithm,
          small_data(),
          small_parts(4),
          {.cohort = 3, .client = client, .server = o, .seed = 5, .threads = threads, .eval_every = 0}};
}

bool is_statistic(const std::string& name) { return name.find("running_") != std::string::npos; }

/// s·B·A of every factored layer, formed.
std::vector<Tensor<double>> updates(nn::Model<double>& model) {
  std::vector<Tensor<double>> all;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<double>& w) {
    const auto zero = to_layout(nn::constant<double>(w.shape(), 0.0), w.base().value().layout());
    all.push_back(
        to_layout(lowrank_compose(zero, w.a().value(), w.b().value(), w.scale()), Layout::row_major));
  });
  return all;
}

double formed_norm(nn::Model<double>& model) {
  double sum = 0.0;
  for (const auto& u : updates(model)) sum += linalg::dot(u, u);
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("One step of each server optimizer, by hand") {
  const auto step = [](ServerRule rule, double change, double& m, double& v) {
    return ServerOptimizer{rule, 0.5, 0.5, 0.75, 0.1}.step(change, m, v);
  };
  double m = 1.0, v = 0.01;
  CHECK(step(ServerRule::fedavg, 0.8, m, v) == Approx(0.4));
  CHECK((m == 1.0 && v == 0.01));
  CHECK(step(ServerRule::fedavgm, 0.8, m, v) == Approx(0.65));  // m = 0.5·1 + 0.8
  CHECK((m == Approx(1.3) && v == 0.01));
  m = 0.0, v = 0.05;
  CHECK(step(ServerRule::fedadagrad, 2.0, m, v) == Approx(0.5 / (std::sqrt(4.05) + 0.1)));  // m = 0.5·2
  CHECK((m == Approx(1.0) && v == Approx(4.05)));
  m = 0.0, v = 0.4;
  CHECK(step(ServerRule::fedadam, 2.0, m, v) ==
        Approx(0.5 / (std::sqrt(1.3) + 0.1)));  // v = 0.75·0.4 + 0.25·4
  CHECK(v == Approx(1.3));
  m = 0.0, v = 0.44;
  CHECK(step(ServerRule::fedyogi, 2.0, m, v) == Approx(0.5 / (1.2 + 0.1)));  // v = 0.44 + 0.25·4
  CHECK(v == Approx(1.44));
  v = 5.0;
  step(ServerRule::fedyogi, 2.0, m, v);
  CHECK(v == Approx(4.0));  // v = 5 − 0.25·4
}

TEST_CASE("Rounds of a server optimizer are its formulas; statistics keep their mean") {
  const auto rule = GENERATE(ServerRule::fedavg, ServerRule::fedavgm, ServerRule::fedadagrad,
                             ServerRule::fedadam, ServerRule::fedyogi);
  const ServerOptimizer o{rule, 0.3, 0.6, 0.8, 0.05};
  auto server = server_with(o, fl::FedLoRA{}, "resnet10");
  State x = state_of(server.model()), m, v;
  for (std::uint64_t round = 1; round <= 3; ++round) {
    const State mean = random_round(server, 10'000 * round);
    for (auto& [name, values] : x) {
      m[name].resize(values.size());
      v[name].resize(values.size(), 0.05 * 0.05);
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (is_statistic(name)) {
          values[i] = mean.at(name)[i];
          continue;
        }
        const double d = mean.at(name)[i] - values[i];
        double &first = m[name][i], &second = v[name][i];
        first = rule == ServerRule::fedavgm ? 0.6 * first + d : 0.6 * first + 0.4 * d;
        if (rule == ServerRule::fedadagrad) second = second + d * d;
        if (rule == ServerRule::fedadam) second = 0.8 * second + 0.2 * d * d;
        if (rule == ServerRule::fedyogi) second = second - 0.2 * d * d * (second > d * d ? 1.0 : -1.0);
        if (rule == ServerRule::fedavg)
          values[i] += 0.3 * d;
        else if (rule == ServerRule::fedavgm)
          values[i] += 0.3 * first;
        else
          values[i] += 0.3 * first / (std::sqrt(second) + 0.05);
      }
    }
  }
  Index statistics = 0;
  for (const auto& [name, values] : state_of(server.model())) {
    INFO(name);
    statistics += is_statistic(name);
    for (std::size_t i = 0; i < values.size(); ++i)
      REQUIRE(values[i] == Approx(x.at(name)[i]).epsilon(1e-10).margin(1e-12));
  }
  CHECK(statistics > 0);
}

TEST_CASE("Moments of factors start anew with the factors, others go on") {
  const auto kind = GENERATE(lowrank::MergeKind::reinit, lowrank::MergeKind::keep);
  auto server = server_with({ServerRule::fedavgm, 0.5, 0.5}, fl::FedLoRU{.tau = 2, .merge = kind});
  random_round(server, 100);
  const std::string a = "fc2.lora_A.weight", bias = "fc1.bias";
  CHECK(server.memory().contains("server.m." + a));
  const auto before = server.memory().get<double>("server.m." + bias);
  random_round(server, 200);
  REQUIRE(server.merges() == 1);
  CHECK(server.memory().contains("server.m." + a) == (kind == lowrank::MergeKind::keep));
  REQUIRE(server.memory().contains("server.m." + bias));
  const State x = state_of(server.model());
  const State old{{a, [&] {
                     if (kind == lowrank::MergeKind::reinit) return std::vector<double>(x.at(a).size());
                     const auto m = server.memory().get<double>("server.m." + a);
                     return std::vector<double>(m.data(), m.data() + m.size());
                   }()}};
  const State mean = random_round(server, 300), now = state_of(server.model());
  for (std::size_t i = 0; i < x.at(a).size(); ++i) {
    const double d = mean.at(a)[i] - x.at(a)[i];
    REQUIRE(now.at(a)[i] == Approx(x.at(a)[i] + 0.5 * (0.5 * old.at(a)[i] + d)).margin(1e-12));
  }
}

TEST_CASE("FedEx-LoRA merges the residual of what was averaged, whatever the server's step") {
  auto plain = simulation_of(fl::FedExLoRA{}), half = simulation_of(fl::FedExLoRA{}, {.learning_rate = 0.5});
  const auto start = frozen_weights(plain.model());
  plain.run_round(false);
  half.run_round(false);
  require_same_weights(plain.model(), half.model());
  CHECK(difference(frozen_weights(plain.model()).at("fc2"), start.at("fc2")) > 0.0);
  CHECK(bits(plain.model()) != bits(half.model()));
}

TEST_CASE("Server optimizers and measured merges do not depend on the number of threads") {
  const auto when = GENERATE(MergeWhen::norm, MergeWhen::effective_rank);
  const fl::FedLoRU algorithm{.merge_when = when, .growth = 1e9, .window = 1};
  const ServerOptimizer o{.rule = ServerRule::fedyogi, .learning_rate = 0.01};
  auto one = simulation_of(algorithm, o, 1), three = simulation_of(algorithm, o, 3);
  for (Index i = 0; i < 4; ++i) {
    one.run_round(false);
    three.run_round(false);
    CHECK(one.server().merges() == (i + 1) / 2);  // every second round: window + 1
  }
  CHECK(bits(one.model()) == bits(three.model()));
}

TEST_CASE("Merges in given rounds") {
  auto listed = simulation_of(fl::FedLoRU{.merge_when = MergeWhen::rounds, .merge_rounds = {1, 3, 4}});
  auto personal =
      simulation_of(fl::PFedLoRU{.personal_rank = 1, .merge_when = MergeWhen::rounds, .merge_rounds = {2}});
  std::vector<Index> merges, own;
  for (Index i = 0; i < 5; ++i) {
    merges.push_back(listed.run_round(false).merges);
    if (i < 3) own.push_back(personal.run_round(false).merges);
  }
  CHECK(merges == std::vector<Index>{1, 1, 2, 3, 3});
  CHECK(own == std::vector<Index>{0, 1, 1});
}

namespace {

/// Federated averaging that counts the steps of its clients.
struct CountingSteps {
  Index* steps = nullptr;

  static constexpr std::string_view name = "counting";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::train>;
  static constexpr auto fields() { return Fields{}; }
  template <class T, class D>
  double train(const fl::Turn<T, D>& turn) const {
    return fl::train(turn, [this](std::vector<Variable<T, D>>&) { ++*steps; });
  }
};

}  // namespace

TEST_CASE("Clients train for a number of steps in place of passes") {
  const auto run = [](Index epochs, Index steps, Index batch) {
    fl::ClientOptions client = momentum_client();
    client.epochs = epochs;
    client.steps = steps;
    client.batch = batch;
    Index taken = 0;
    auto simulation = simulation_of(CountingSteps{&taken}, {}, 1, client);
    const double loss = simulation.run_round(false).train_loss;
    return std::tuple{taken, loss, bits(simulation.model())};
  };
  // Batches above every client's samples: a pass is a step.
  const auto passes = run(3, 0, 1000);
  CHECK(std::get<0>(passes) == 3 * 3);
  CHECK(run(1, 3, 1000) == passes);
  CHECK(run(1, 2, 1000) != passes);
  // Clients of more than 14 samples in batches of 7: the fourth step may begin another pass.
  REQUIRE(small_parts(4).least() > 14);
  CHECK(std::get<0>(run(1, 1, 7)) == 3);
  CHECK(std::get<0>(run(1, 4, 7)) == 3 * 4);
  CHECK(std::get<0>(run(9, 4, 7)) == 3 * 4);
}

TEST_CASE("Warm-up after a merge scales the learning rate") {
  const fl::FedLoRU merging{.merge_when = MergeWhen::rounds, .merge_rounds = {1}};
  fl::FedLoRU warming = merging;
  warming.warmup = 3;
  fl::ClientOptions quarter = momentum_client();  // η, then η / 4
  quarter.schedule = {.kind = optim::ScheduleKind::step, .every = 1, .gamma = 0.25};
  auto plain = simulation_of(merging), warmed = simulation_of(warming),
       scheduled = simulation_of(merging, {}, 1, quarter);
  for (auto* run : {&plain, &warmed, &scheduled}) run->run_round(false);
  CHECK(bits(warmed.model()) == bits(plain.model()));  // no merge before the first round
  for (auto* run : {&plain, &warmed, &scheduled}) run->run_round(false);
  CHECK(bits(warmed.model()) == bits(scheduled.model()));
  CHECK(bits(warmed.model()) != bits(plain.model()));
}

TEST_CASE("Rounds since a merge") {
  const fl::MergeSchedule every{.tau = 3}, listed{.when = MergeWhen::rounds, .rounds = {2, 5}};
  std::vector<Index> of_tau, of_list;
  for (Index round = 1; round <= 7; ++round) {
    of_tau.push_back(fl::rounds_since_merge(every, round).value_or(0));
    of_list.push_back(fl::rounds_since_merge(listed, round).value_or(0));
  }
  CHECK(of_tau == std::vector<Index>{0, 0, 0, 1, 2, 3, 1});
  CHECK(of_list == std::vector<Index>{0, 0, 1, 2, 3, 1, 2});
  auto measuring = simulation_of(fl::FedLoRU{.merge_when = MergeWhen::norm, .warmup = 1});
  CHECK(message_of<ConfigError>([&] { measuring.run_round(false); }) ==
        "warmup: expected merge_when = tau or rounds, got a schedule that measures");
}

TEST_CASE("Norm and effective rank of the update are those of the formed product") {
  const std::string name = GENERATE("mlp", "resnet10");
  auto model = random_model(small_factored<double>(name), 40);
  CHECK(fl::update_norm(model) == Approx(formed_norm(model)).epsilon(1e-12));
  double sum = 0.0;
  const auto all = updates(model);
  for (const auto& u : all)
    sum += lowrank::effective_rank(
        linalg::singular_values(lowrank::update_matrix(u, nn::constant<double>(u.shape(), 0.0))));
  CHECK(fl::update_effective_rank(model) == Approx(sum / static_cast<double>(all.size())).epsilon(1e-5));
  auto fresh = small_factored<double>(name);
  CHECK(fl::update_norm(fresh) == 0.0);
  CHECK(fl::update_effective_rank(fresh) == 0.0);
}

TEST_CASE("A measured merge comes in the first round in which the measure stops growing") {
  auto merging = simulation_of(fl::FedLoRU{.merge_when = MergeWhen::norm, .growth = 0.4, .window = 2});
  auto never = simulation_of(fl::FedLoRA{});
  std::vector<double> q;
  bool stopped = false;
  while (!stopped && q.size() < 30) {
    const fl::Round round = merging.run_round(false);
    never.run_round(false);
    q.push_back(formed_norm(never.model()));
    const std::size_t t = q.size();
    stopped = t > 2 && q[t - 1] - q[t - 3] < 0.4 * q[t - 3];
    REQUIRE(round.merges == (stopped ? 1 : 0));
  }
  CHECK(stopped);
  CHECK(q.size() > 3);  // it did grow at first
}

TEST_CASE("A server optimizer moves what folds make of factors") {
  const std::string model = GENERATE("mlp", "resnet10");
  const auto check = [&](auto algorithm, const ServerOptimizer& o, double share) {
    INFO(algorithm.name << " of " << model);
    auto start = small_model<double>(model);
    fl::AnyAlgorithm<double>(algorithm).parametrise(start, {.rank = 4, .alpha = 3.0});
    Mixed<double> plain(start, algorithm, {1, 1, 2}), other(start, algorithm, {1, 1, 2}, o);
    const auto before = lowrank::effective_weights(start);
    const auto first = state_of(start);
    plain.round();
    other.round();
    const auto whole = lowrank::effective_weights(plain.server.model());
    for (const auto& [layer, w] : lowrank::effective_weights(other.server.model())) {
      if (algorithm.name == "hetlora" || algorithm.name == "mfedloru") break;  // means of factors, below
      Tensor<double> expected = clone(before.at(layer));
      add_scaled(expected, share, whole.at(layer));
      add_scaled(expected, -share, before.at(layer));
      INFO(layer);
      CHECK(difference(w, expected) < 1e-10);
    }
    const auto mean = state_of(plain.server.model());
    std::set<std::string> factors;
    for (const auto& p : other.server.model().parameters())
      if (nn::is_factor(p.role)) factors.insert(p.name);
    for (const auto& [name, values] : state_of(other.server.model())) {
      if (is_statistic(name) ||
          (factors.contains(name) && algorithm.name != "hetlora" && algorithm.name != "mfedloru"))
        continue;
      INFO(name);
      for (std::size_t i = 0; i < values.size(); ++i)
        REQUIRE(values[i] ==
                Approx(first.at(name)[i] + share * (mean.at(name)[i] - first.at(name)[i])).margin(1e-12));
    }
    auto weights = frozen_weights(other.server.model());  // which clients learn of in the next round
    other.round();
    for (auto& device : other.devices)
      for (const auto& [layer, w] : frozen_weights(device)) CHECK(difference(w, weights.at(layer)) < 1e-12);
  };
  const ServerOptimizer half{ServerRule::fedavg, 0.5}, all{ServerRule::fedavgm, 1.0, 0.0};
  for (const auto& [o, share] : {std::pair{half, 0.5}, std::pair{all, 1.0}}) {
    check(fl::FLoRA{}, o, share);
    check(fl::FlexLoRA{}, o, share);
    check(fl::FedHM{}, o, share);
    check(fl::HetLoRA{}, o, share);
    check(fl::MFedLoRU{}, o, share);
  }
}

TEST_CASE("flora under a server optimizer sends W, and its momentum lasts") {
  auto start = small_model<double>();
  fl::AnyAlgorithm<double>(fl::FLoRA{}).parametrise(start, {.rank = 4});
  Mixed<double> run(start, fl::FLoRA{}, {4, 4, 4}, {ServerRule::fedavgm, 1.0, 0.9});
  std::vector<Tensor<double>> steps;
  for (int i = 0; i < 2; ++i) {
    const Tensor<double> before = clone(frozen_weights(run.server.model()).at("fc2"));
    run.round();
    Tensor<double> step = clone(frozen_weights(run.server.model()).at("fc2"));
    add_scaled(step, -1.0, before);
    steps.push_back(step);
  }
  // The second step is 0.9 times the first and what the cohort added, of rank 3·4 at most; to the root of the
  // rounding.
  add_scaled(steps[1], -0.9, steps[0]);
  const auto values = linalg::singular_values(steps[1]);
  CHECK(values[11] > 1e-5);
  CHECK(values[12] < 1e-6);
  run.server.begin_round();
  const fl::Message down = run.server.broadcast(0);
  CHECK(io::borrow(down).contains("fc2.weight"));
}

TEST_CASE("Options of server optimizers and merges say what is wrong") {
  const auto merge = [](fl::FedLoRU a) { return message_of<ConfigError>([&] { fl::check(a); }); };
  CHECK(merge({.merge_rounds = {1, 10, 5}}) ==
        "fedloru: merge_rounds: expected rounds in increasing order, got 10 before 5");
  CHECK(merge({.merge_rounds = {4, 4}}) ==
        "fedloru: merge_rounds: expected rounds in increasing order, got 4 before 4");
  CHECK(merge({.merge_rounds = {0, 4}}) == "fedloru: merge_rounds: expected a whole number >= 1, got 0");
  CHECK(merge({.growth = -1.0}) == "fedloru: growth: expected a number >= 0, got -1");
  CHECK(merge({.window = 0}) == "fedloru: window: expected a whole number >= 1, got 0");
  const auto server = [](ServerOptimizer o) { return message_of<ConfigError>([&] { server_with(o); }); };
  CHECK(server({.learning_rate = 0.0}) == "server: learning_rate: expected a number > 0, got 0");
  CHECK(server({.beta1 = 1.0}) == "server: beta1: expected a number in [0, 1), got 1");
  CHECK(server({.beta2 = -0.5}) == "server: beta2: expected a number in [0, 1), got -0.5");
  CHECK(server({.epsilon = 0.0}) == "server: epsilon: expected a number > 0, got 0");
}

TEST_CASE("Folds that are sums have the same bits in any order of the answers") {
  const auto algorithm = GENERATE(fl::AnyAlgorithm<float>(fl::FedLoRU{.tau = 2}), fl::SCAFFOLD{},
                                  fl::SCAFFOLD{.low_rank = true}, fl::MFedLoRU{.tau = 2});
  INFO(algorithm.name);
  const auto start = algorithm.low_rank ? rank_four<float>() : small_model<float>();
  const Ranks budgets = algorithm.mixed_ranks ? Ranks{1, 2, 4} : Ranks{4, 4, 4};
  std::vector<nn::Model<float>> devices(3, start);
  std::vector<io::Archive> states(3);
  const auto parts = small_parts(3);
  fl::Server<float> server(start, algorithm, 5, {.ranks = fl::ClientRanks(budgets), .clients = 3});
  for (int i = 0; i < 3; ++i) {
    server.begin_round();
    std::vector<fl::Message> answers;
    for (Index k = 0; k < 3; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const fl::Message broadcast = server.broadcast(k);
      answers.push_back(fl::answer(devices[at], broadcast, algorithm, small_data().train, parts.samples(k),
                                   momentum_client(), states[at]));
    }
    fl::Server<float> turned = server;
    for (const std::size_t k : {0, 1, 2}) server.receive(fl::Message(answers[k]));
    for (const std::size_t k : {2, 0, 1}) turned.receive(fl::Message(answers[k]));
    CHECK(server.finish_round() == turned.finish_round());
    CHECK((bits(server.model()) == bits(turned.model())));
    CHECK((io::serialise(server.memory()) == io::serialise(turned.memory())));
  }
  CHECK((server.merges() == 1) == (algorithm.name != "scaffold"));
}

TEST_CASE("A fold sees the updates, or none are kept for it") {
  Index given = -1;
  auto kept = server_with({}, SeesUpdates<>{&given});
  random_round(kept, 1);
  CHECK(given == 2);
  auto summed = server_with({}, SeesUpdates<fl::trait::sums_alone>{&given});
  random_round(summed, 1);
  CHECK(given == 0);
  CHECK((bits(kept.model()) == bits(summed.model())));
}
