#pragma once
// The functions of Simulation; simulation.hpp includes this file at its end. They stand outside the class:
// what is defined inside is inline, and users of loru::compiled would compile it.

#include <loru/fl/simulation/simulation.hpp>

namespace loru::inline LORU_ISA::fl {

template <class T, class D>
Answer Simulation<T, D>::work(const Job& job, const Bytes& own) {
  io::Archive shared = io::borrow(*job.shared, "message");
  const std::string& kind = detail::text(shared, "kind");
  if (kind == "evaluation") return observe(job.number, detail::text(shared, "data") == "validation");
  if (kind == "personal") return look_at(job.number, shared, own);
  return train_client(job.number, std::move(shared), own);
}

template <class T, class D>
Answer Simulation<T, D>::train_client(Index client, io::Archive broadcast, const Bytes& kept) {
  broadcast.metadata()["client"] = std::to_string(client);
  io::Archive state = kept ? io::borrow(*kept, ClientStore::origin(client)) : io::Archive("state");
  auto loan = replicas_.borrow();
  nn::Model<T, D>& model = *loan;
  if (server_.resizes()) {  // factors that are not sent are of its rank too
    model = server_.model();
    lowrank::set_ranks(model, detail::get_ranks(broadcast, "ranks"));
  }
  share_frozen(model);
  const std::vector<Index> samples = parts_.samples(client);
  try {
    Message update =
        take_turn(model, broadcast, server_.algorithm(),
                  LocalData<T, D>{train_, samples, options_.client, task_}, state, Frozen::shared);
    return {.update = std::move(update), .state = state.size() > 0 ? io::serialise(state) : Message()};
  } catch (...) {
    model = server_.model();  // half trained, it is not for another client
    throw;
  }
}

template <class T, class D>
void Simulation<T, D>::share_frozen(nn::Model<T, D>& model) {
  std::map<std::string, Variable<T, D>> frozen;
  for (auto& p : server_.model().parameters())
    if (!p.value.requires_grad()) frozen.emplace(p.name, p.value);
  for (auto& p : model.parameters())
    if (const auto own = frozen.find(p.name); !p.value.requires_grad() && own != frozen.end())
      p.value.share(own->second);
}

template <class T, class D>
ServerOptions Simulation<T, D>::server_options(const SimulationOptions& o, const data::Partition& parts) {
  return {.ranks = ClientRanks(o.ranks, parts, o.seed),
          .clients = parts.clients(),
          .optimizer = o.server,
          .codecs = o.codecs,
          .limits = o.limits,
          .max_samples = std::clamp<Index>(parts.most(), 1, ExactSums<T>::most_count),
          .rounds_before = o.rounds_before,
          .weights_known = o.weights_known};
}

template <class T, class D>
Simulation<T, D>::Simulation(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, const data::Split& data,
                             data::Partition parts, const SimulationOptions& options, train::Task<T, D> task)
    : options_{options},
      task_{std::move(task)},
      train_{data.train},
      test_{data.test},
      validation_{data.validation},
      parts_{std::move(parts)},
      server_{std::move(model), std::move(algorithm), options.seed, server_options(options, parts_)},
      replicas_{[this] { return nn::Model<T, D>(server_.model()); }} {
  if (!options_.store) options_.store = std::make_shared<MemoryStore>();
  if (!options_.executor) options_.executor = std::make_shared<ThreadExecutor>(threads(options));
  if (options_.executor->rank() == 0 && options_.executor->ranks() > 1) told_.emplace(server_.model());
  check_fields(options);
  require<ConfigError>(options.drops.before + options.drops.after <= 1.0,
                       "federation: drop_before and drop_after: expected a sum of at most 1, got ",
                       options.drops.before + options.drops.after);
  check(options.client);
  for (const data::Dataset* half : {&data.train, &data.test}) task_.outputs(*half);
  sample_cohort(options.seed, 1, clients(), options.cohort);
  require<ConfigError>(options.min_updates <= options.cohort,
                       "federation: min_updates: expected at most the cohort, ", options.cohort, ", got ",
                       options.min_updates);
  optim::make<T, D>(options.client.optimizer, {});
  server_.measure_aggregation(options.aggregation_error);
  for (Index k = 0; parts_.least() == 0 && k < clients(); ++k)
    require<ConfigError>(parts_.size(k) > 0, "federation: client ", k, ": expected at least one sample");
}

template <class T, class D>
Simulation<T, D>::~Simulation() = default;

template <class T, class D>
void Simulation<T, D>::save(io::Archive& archive) {
  server_.save(archive);
  store().put_into(archive);
}

template <class T, class D>
void Simulation<T, D>::restore(const io::Archive& archive) {
  Server<T, D> server = server_;
  server.restore(archive);
  store().take_from(archive);
  server_ = std::move(server);
  store().begin_round(server_.round());
}

template <class T, class D>
Round Simulation<T, D>::run_round(bool evaluated) {
  const auto begin = std::chrono::steady_clock::now();
  evaluated_ = {};
  server_.begin_round();
  store().begin_round(server_.round());
  Round round{.index = server_.round(),
              .cohort = sample_cohort(options_.seed, server_.round(), clients(), options_.cohort)};
  round.turns_by_rank.resize(static_cast<std::size_t>(options_.executor->ranks()));
  finish_round(round);
  round.train_seconds = seconds_since(begin);
  if (evaluated) {
    show_global();
    const train::Evaluation test = evaluate_on(false);
    round.test_accuracy = test.accuracy;
    round.test_loss = test.loss;
    round.test_metrics = test.metrics;
    if (validation_.size() > 0) round.validation_metrics = evaluate_on(true).metrics;
  }
  round.seconds = seconds_since(begin);
  return round;
}

template <class T, class D>
void Simulation<T, D>::finish_round(Round& round) {
  const struct Discard {
    ClientStore& store;
    ~Discard() { store.discard(); }
  } unless_committed{store()};
  tell();
  const std::vector<Job> jobs = offer_turns(round);
  std::vector<std::size_t> sizes(jobs.size());  // of the states that went with the turns
  Index folded = 0;
  options_.executor->run(
      jobs, [this](const Job& job, const Bytes& own) { return work(job, own); },
      [&](Index i) {
        const auto at = static_cast<std::size_t>(i);
        Bytes state = store().read(jobs[at].number);
        sizes[at] = state ? state->size() : 0;
        return state;
      },
      [&](Index i, Answer&& answer) {
        const auto at = static_cast<std::size_t>(i);
        if (answer.rank != 0) round.state_bytes += sizes[at] + answer.state.size();
        ++round.turns_by_rank[static_cast<std::size_t>(answer.rank)];
        folded += take_in(round, jobs[at].number, std::move(answer));
      });
  if (folded >= options_.min_updates) {
    round.train_loss = server_.finish_round();
    round.aggregation_error = server_.aggregation_error();
    store().commit();
  }
  round.merges = server_.merges();
}

template <class T, class D>
void Simulation<T, D>::tell() {
  if (!told_) return;
  io::Archive changes = told_->changes(server_.model());
  if (changes.size() > 0) options_.executor->tell(message_of(std::move(changes), "model"));
}

template <class T, class D>
void Simulation<T, D>::show_global() {
  evaluated_ = global_model();
  if (!told_) return;
  tell();
  io::Archive state("evaluated");
  if (server_.algorithm().evaluated) put_state(state, evaluated_);
  options_.executor->tell(message_of(std::move(state), "evaluated"));
}

template <class T, class D>
void Simulation<T, D>::hear(const Bytes& news) {
  const io::Archive archive = io::borrow(*news, "news");
  if (detail::text(archive, "kind") == "model") return Replica<T, D>::apply(archive, server_.model());
  evaluated_ = server_.model();
  if (archive.size() > 0) get_state(archive, evaluated_);
}

template <class T, class D>
bool Simulation<T, D>::serve() {
  return options_.executor->serve([this](const Job& job, const Bytes& own) { return work(job, own); },
                                  [this](const Bytes& news) { hear(news); });
}

template <class T, class D>
void Simulation<T, D>::release() {
  if (options_.executor->rank() > 0) return;
  tell();
  options_.executor->release();
}

template <class T, class D>
std::vector<Job> Simulation<T, D>::offer_turns(Round& round) {
  std::vector<Job> jobs;
  for (const Index client : round.cohort) {
    round.downlink_bytes += io::serialised_size(server_.offer(client));
    const Fate fate = fate_of(options_.drops, options_.seed, round.index, client);
    if (fate == Fate::misses_broadcast) server_.lost(client);
    if (fate == Fate::is_silent) server_.arrived(client);
    round.dropped += fate != Fate::answers;
    if (fate == Fate::answers)
      jobs.push_back({client, parts_.size(client), server_.shared_broadcast(client)});
  }
  return jobs;
}

template <class T, class D>
bool Simulation<T, D>::take_in(Round& round, Index client, Answer&& answer) {
  round.uplink_bytes += answer.update.size();
  const auto rejected = [&](const Error& error) {  // called where the exception is handled
    if (options_.diverged == Diverged::stop) throw;
    if (round.rejected++ == 0) round.rejection = error.what();
    server_.arrived(client);
    return false;
  };
  try {
    if (answer.error) std::rethrow_exception(answer.error);
    server_.receive(std::move(answer.update), client);
  } catch (const DivergedError& error) {
    return rejected(error);
  } catch (const DataError& error) {
    return rejected(error);
  }
  if (!answer.state.empty()) store().write(client, std::move(answer.state));
  return true;
}

template <class T, class D>
nn::Model<T, D> Simulation<T, D>::global_model() {
  const AnyAlgorithm<T, D>& algorithm = server_.algorithm();
  return algorithm.evaluated ? algorithm.evaluated(server_.model(), store(), parts_) : server_.model();
}

template <class T, class D>
train::Evaluation Simulation<T, D>::evaluate() {
  show_global();
  return evaluate_on(false);
}

template <class T, class D>
std::optional<train::Evaluation> Simulation<T, D>::validate() {
  if (validation_.size() == 0) return std::nullopt;
  show_global();
  return evaluate_on(true);
}

template <class T, class D>
train::Evaluation Simulation<T, D>::evaluate_on(bool validation) {
  const Index count = (validation ? validation_ : test_).size(), most = train::evaluation_batch;
  require<DataError>(count > 0, "evaluate: ", test_.dataset().name, ": expected at least one sample");
  io::Archive request("evaluation");
  request.metadata()["data"] = validation ? "validation" : "test";
  const Bytes shared = message_of(std::move(request), "evaluation");
  std::vector<Job> jobs;
  for (Index first = 0; first < count; first += most)
    jobs.push_back({std::ssize(jobs), std::min(most, count - first), shared});
  std::vector<train::Observation> batches;
  options_.executor->run(
      jobs, [this](const Job& job, const Bytes& own) { return work(job, own); },
      [](Index) { return Bytes(); },
      [&](Index, Answer&& answer) {
        if (answer.error) std::rethrow_exception(answer.error);
        const auto numbers = detail::numbers(answer.update);
        batches.push_back({numbers.front(), {numbers.begin() + 1, numbers.end()}});
      });
  return train::summarise<T, D>(task_, batches, count);
}

template <class T, class D>
Answer Simulation<T, D>::observe(Index batch, bool validation) {
  const DeviceData<D>& data = validation ? validation_ : test_;
  const Index first = batch * train::evaluation_batch;
  std::vector<Index> samples(
      static_cast<std::size_t>(std::min(train::evaluation_batch, data.size() - first)));
  std::iota(samples.begin(), samples.end(), first);
  train::Observation seen = train::observe(evaluated_, data, samples, task_);
  seen.observed.insert(seen.observed.begin(), seen.loss);
  return {.update = detail::as_message(seen.observed)};
}

template <class T, class D>
PersonalAccuracy Simulation<T, D>::personal_accuracy(const PersonalOptions& o) {
  if (!std::holds_alternative<data::Labels>(train_.dataset().targets)) return {};
  require<ConfigError>(o.images >= 1 && o.clients >= 1,
                       "personal evaluation: expected images and clients, got ", o.images, " and ",
                       o.clients);
  show_global();
  std::vector<Job> jobs;
  std::map<std::vector<Index>, Bytes> requests;  // by ranks
  for (const Index client : sample_cohort(options_.seed, 0, clients(), std::min(clients(), o.clients))) {
    const auto ranks = server_.resizes() ? server_.ranks(client) : std::vector<Index>{};
    Bytes& request = requests[ranks];
    if (!request) request = personal_request(o.images, ranks);
    jobs.push_back({client, parts_.size(client), request});
  }
  std::vector<ClientAccuracy> each;
  options_.executor->run(
      jobs, [this](const Job& job, const Bytes& own) { return work(job, own); },
      [&](Index i) { return store().read(jobs[static_cast<std::size_t>(i)].number); },
      [&](Index i, Answer&& answer) {
        if (answer.error) std::rethrow_exception(answer.error);
        const auto numbers = detail::numbers(answer.update);
        if (!numbers.empty())
          each.push_back({jobs[static_cast<std::size_t>(i)].number, numbers[0], numbers[1]});
      });
  return fl::personal_accuracy(std::move(each));
}

template <class T, class D>
Bytes Simulation<T, D>::personal_request(Index images, const std::vector<Index>& ranks) const {
  io::Archive request("personal");
  request.metadata()["images"] = std::to_string(images);
  request.metadata()["round"] = std::to_string(std::max<Index>(server_.round(), 1));
  detail::put_ranks(request, "ranks", ranks);
  return message_of(std::move(request), "personal");
}

template <class T, class D>
Answer Simulation<T, D>::look_at(Index client, const io::Archive& request, const Bytes& kept) {
  io::Archive state = kept ? io::borrow(*kept, ClientStore::origin(client)) : io::Archive("state"), nothing;
  nn::Model<T, D> model = server_.model();
  if (const auto ranks = detail::get_ranks(request, "ranks"); !ranks.empty())
    lowrank::set_ranks(model, ranks);
  const Head head{options_.seed, detail::number<Index>(request, "round"), client};
  const std::vector<Index> samples = parts_.samples(client);
  const Turn<T, D> turn{model, train_, samples, options_.client, head, state, nothing, nothing, task_};
  const auto accuracy =
      client_accuracy(turn, evaluated_, server_.algorithm(), test_, detail::number<Index>(request, "images"));
  if (!accuracy) return {};
  return {.update = detail::as_message(std::array{accuracy->own, accuracy->global})};
}

}  // namespace loru::inline LORU_ISA::fl
