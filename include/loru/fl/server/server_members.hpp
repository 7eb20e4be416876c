#pragma once
// The functions of Server; server.hpp includes this file at its end. They stand outside the class: what is
// defined inside is inline, and users of loru::compiled would compile it.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

/// Streams are keyed by 32 bits of a client.
inline constexpr Index most_clients = (Index{1} << 32) - 1;

}  // namespace detail

template <class T, class D>
Server<T, D>::Server(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, std::uint64_t seed,
                     ServerOptions options)
    : model_{std::move(model)},
      algorithm_{std::move(algorithm)},
      seed_{seed},
      clients_{options.clients},
      round_{options.rounds_before},
      optimizer_{options.optimizer},
      client_ranks_{std::move(options.ranks)},
      codecs_{options.codecs},
      limits_{options.limits},
      max_samples_{options.max_samples},
      factors_since_{options.rounds_before},
      history_{options.weights_known},
      broadcasts_{codecs_, seed} {
  check(optimizer_);
  check(codecs_);
  check_fields(limits_, "server");
  require<ConfigError>(max_samples_ >= 1 && max_samples_ <= ExactSums<T>::most_count,
                       "server: max_samples: expected 1 .. ", ExactSums<T>::most_count, ", got ",
                       max_samples_);
  require<ConfigError>(clients_ >= 0 && clients_ <= detail::most_clients, "server: clients: expected 0 .. ",
                       detail::most_clients, ", got ", clients_);
  require<ConfigError>(clients_ == 0 || client_ranks_.clients() == 0 || client_ranks_.clients() == clients_,
                       "server: ranks: expected ", clients_, ", one a client, got ", client_ranks_.clients());
  require<ConfigError>(options.rounds_before >= 0, "server: rounds_before: expected at least 0, got ",
                       options.rounds_before);
  check_model();
}

template <class T, class D>
Server<T, D>::Server(const Server&) = default;
template <class T, class D>
Server<T, D>::Server(Server&&) noexcept = default;
template <class T, class D>
Server<T, D>& Server<T, D>::operator=(const Server&) = default;
template <class T, class D>
Server<T, D>& Server<T, D>::operator=(Server&&) noexcept = default;
template <class T, class D>
Server<T, D>::~Server() = default;

template <class T, class D>
std::vector<Index> Server<T, D>::ranks(Index client) {
  const auto own = own_ranks_.find(client);
  return own != own_ranks_.end() ? own->second : client_ranks_.of(client, lowrank::ranks(model_));
}

template <class T, class D>
void Server<T, D>::set_ranks(Index client, std::vector<Index> ranks) {
  const auto own = own_ranks_.find(client);
  ranks_before_.try_emplace(client, own != own_ranks_.end() ? std::optional(own->second) : std::nullopt);
  own_ranks_[client] = std::move(ranks);
}

template <class T, class D>
void Server<T, D>::restore_ranks() {
  for (auto& [client, before] : ranks_before_)
    if (before)
      own_ranks_[client] = *std::move(before);
    else
      own_ranks_.erase(client);
}

template <class T, class D>
nn::Model<T, D> Server<T, D>::client_model(Index client) {
  nn::Model<T, D> model = model_;
  if (resizes_) lowrank::set_ranks(model, ranks(client));
  return model;
}

template <class T, class D>
void Server<T, D>::begin_round() {
  ++round_;
  running_ = true;
  drop_updates();
  answered_.clear();
  broadcasts_.clear();
}

template <class T, class D>
void Server<T, D>::drop_updates() {
  average_ = {};
  extra_ = {};
  updates_.clear();
}

template <class T, class D>
Message Server<T, D>::broadcast(Index client) {
  return io::serialise(offer(client));
}

template <class T, class D>
io::Archive Server<T, D>::offer(Index client) {
  require_running("broadcast()");
  require<Error>(client >= 0 && client < (clients_ > 0 ? clients_ : detail::most_clients),
                 "server: expected a client in 0 .. ", (clients_ > 0 ? clients_ : detail::most_clients) - 1,
                 ", got ", client);
  require<Error>(!answered_.contains(client), "server: client ", client, " was sent its broadcast of round ",
                 round_, " already");
  const std::vector<Index> own = ranks(client);
  io::Archive archive = broadcasts_.coded(
      model_, own, history_.known(client), client, round_, [&] { return plain(own); },
      [&](io::Archive& a) { history_.catch_up(history_.known(client), model_, a); });
  archive.metadata()["client"] = std::to_string(client);
  answered_.emplace(client, false);
  history_.told(client);
  return archive;
}

template <class T, class D>
Bytes Server<T, D>::shared_broadcast(Index client) {
  require_running("shared_broadcast()");
  const std::vector<Index> own = ranks(client);
  return broadcasts_.message(model_, own, client, round_, [&] { return plain(own); });
}

template <class T, class D>
void Server<T, D>::lost(Index client) {
  require_unanswered(client);
  answered_.erase(client);
  history_.lost(client);
}

template <class T, class D>
void Server<T, D>::arrived(Index client) {
  require_unanswered(client);
  history_.arrived(client);
}

template <class T, class D>
void Server<T, D>::receive(Message&& message, std::optional<Index> from) {
  const Index most = expected_.most_bytes(model_, algorithm_), bytes = std::ssize(message);
  require<DataError>(bytes <= most, "server: update", from ? concat(" of client ", *from) : "",
                     ": expected at most ", most, " bytes, got ", bytes);
  Update update;
  const auto read = [&] {
    update.state = io::parse(std::move(message), "update");
    update.head = detail::get_head(update.state, "update");
  };
  from ? detail::of_update("server", *from, read) : read();
  const Index client = from.value_or(update.head.client);
  detail::of_update("server", client, [&] { take(std::move(update), client); });
}

template <class T, class D>
void Server<T, D>::take(Update&& update, Index client) {
  require<DataError>(update.head.client == client, "expected the number of its client, got ",
                     update.head.client);
  require<DataError>(update.head.seed == seed_, "expected seed ", seed_, ", got ", update.head.seed);
  require<DataError>(update.head.round == round_, "expected round ", round_, ", got ", update.head.round);
  require<DataError>(running_, "expected it before the end of round ", round_, ", got it after");
  const auto answered = answered_.find(client);
  require<DataError>(answered != answered_.end() && !answered->second,
                     "expected a client of the cohort that has not answered yet");
  detail::read_counts(update);
  require<DataError>(update.samples <= max_samples_, "expected at most ", max_samples_, " samples, got ",
                     update.samples);
  const std::vector<Index> own = ranks(client);
  const io::Archive& received = broadcasts_.received(model_, own, round_, [&] { return plain(own); });
  if (codecs_.uplink != Code::none) update.state = decode_update<T>(update.state, received);
  expected_.check(update, model_, algorithm_, round_,
                  resizes_ || algorithm_.mixed_ranks || algorithm_.kept_ranks ? own : std::vector<Index>{});
  check_limits<T>(update, received, limits_);
  if (resizes_) resize_factors(update.state, model_, lowrank::ranks(model_));
  if (algorithm_.expanded) update.state = algorithm_.expanded(model_, update.state);
  std::optional<Update> once;  // each client's extra tensors count once
  if (algorithm_.also_sent) {
    once = Update{update.head, 1, update.loss, update.state};
    extra_.check(*once, besides());
  }
  average_.add(update, averaged());
  if (once) extra_.add(*once, besides());
  if ((algorithm_.fold && !algorithm_.sums_alone) || measures_) updates_.push_back(std::move(update));
  history_.arrived(client);
  answered->second = true;
}

template <class T, class D>
double Server<T, D>::finish_round() {
  Average<T> average = std::exchange(average_, {});
  Average<T> extra = std::exchange(extra_, {});
  const io::Archive mean = average.result();
  running_ = false;
  const io::Archive besides = extra.updates() > 0 ? extra.result() : io::Archive("aggregate");
  const std::vector<Update> updates = std::exchange(updates_, {});
  moments_ = io::Archive("memory");
  const io::Archive next = optimized(mean);
  const Cohort cohort{next, updates, average.samples(), mean, average.updates(), besides};
  std::optional<AggregationError<T, D>> error;
  if (measures_) error.emplace(model_, cohort, trained());
  renewed_ = false;
  or_restore([&] {
    algorithm_.fold ? algorithm_.fold(*this, cohort) : get_state(next, model_, sent());
    if (measures_) aggregation_error_ = (*error)(model_);
    for (const auto& [name, moment] : moments_.tensors()) memory_.put_raw(name, moment);
    if (algorithm_.after_round) algorithm_.after_round(*this);
  });
  if (renewed_) {
    factors_since_ = round_;
    broadcasts_.forget_factors();
  }
  for (const auto& [client, answered] : answered_)
    if (answered) broadcasts_.known(client, round_);
  return average.loss();
}

template <class T, class D>
io::Archive Server<T, D>::optimized(io::Archive mean) {
  if (!optimizer_.plain()) optimize(optimizer_, model_, mean, memory_, moments_);
  return mean;
}

template <class T, class D>
Tensor<T> Server<T, D>::optimized(const std::string& name, const Tensor<T>& x, const Tensor<T>& mean) {
  return takes_means() ? mean : optimize(optimizer_, name, x, clone(mean), memory_, moments_);
}

template <class T, class D>
void Server<T, D>::merge(lowrank::MergeKind kind) {
  merge(lowrank::products(model_));
  if (kind != lowrank::MergeKind::reinit) return;
  lowrank::restart_factors(
      model_, rng::Stream(seed_, rng::Purpose::merge, static_cast<std::uint32_t>(round_)), merges());
  loru::fl::forget_factors(model_, memory_);
  renew_factors();
}

template <class T, class D>
void Server<T, D>::merge(const lowrank::Products<T, D>& products) {
  history_.record(model_, products);
  lowrank::merge_products(model_, products, merges() - 1);
}

template <class T, class D>
void Server<T, D>::merge(const std::map<std::string, Tensor<T>>& updates) {
  history_.record_whole();
  lowrank::for_each_weight<nn::Factored>(model_, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    Tensor<T, D> w = clone(weight.base().decoded());
    add_scaled(w, T(1), to_device<D>(updates.at(layer)));
    weight.base().set_value(w);
  });
}

template <class T, class D>
void Server<T, D>::check_model() {
  Index suited = 0, additive = 0;
  model_.visit({.weight = [&](const std::string&, nn::Weight<T, D>& w) {
    suited += algorithm_.suits(w);
    additive += w.template as<nn::Factored<T, D>>() != nullptr;
  }});
  require<ConfigError>(
      !algorithm_.low_rank || suited > 0, algorithm_.name,
      ": expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
  const std::vector<Index> layers = lowrank::ranks(model_);
  const bool mixed = client_ranks_.mixed(layers);
  resizes_ = mixed && !algorithm_.mixed_ranks;
  require<ConfigError>(!resizes_ || additive == std::ssize(layers), algorithm_.name,
                       ": expected the same ranks for all clients: its weights have no leading directions");
  require<ConfigError>(
      codecs_.downlink != Code::top_k || !(algorithm_.kept_ranks || mixed),
      "codec: downlink: top_k: expected clients that are sent the same, got ranks of their own under ",
      algorithm_.name);
}

template <class T, class D>
io::Archive Server<T, D>::plain(const std::vector<Index>& ranks) {
  io::Archive archive("broadcast");
  detail::put_head(archive, "broadcast", {seed_, round_, 0});
  archive.metadata()["merges"] = std::to_string(merges());
  if (algorithm_.mixed_ranks || resizes_) {
    detail::put_ranks(archive, "ranks", ranks);
    detail::put_ranks(archive, "layer_ranks", lowrank::ranks(model_));
  }
  if (codecs_.uplink != Code::none) {
    archive.metadata()["uplink"] = to_string(codecs_.uplink);
    archive.metadata()["keep"] = to_text(codecs_.keep);
    archive.metadata()["factors"] = std::to_string(factors_since_);
  }
  algorithm_.broadcast ? algorithm_.broadcast(*this, archive, ranks)
                       : put_state(archive, model_, algorithm_.sends);
  if (resizes_) resize_factors(archive, model_, ranks);
  return archive;
}

template <class T, class D>
void Server<T, D>::require_running(const char* what) const {
  require<Error>(running_, "server: expected begin_round() before ", what);
}

template <class T, class D>
void Server<T, D>::require_unanswered(Index client) const {
  const auto sent = answered_.find(client);
  require<Error>(sent != answered_.end() && !sent->second, "server: client ", client,
                 ": expected a broadcast of round ", round_, " without an answer");
}

template <class T, class D>
typename Average<T>::Names Server<T, D>::averaged() {
  if (algorithm_.mixed_ranks && !algorithm_.expanded) {
    if (!shared_) {
      shared_.emplace();
      for (const auto& tensor : model_.state())
        if (not_factor(tensor.id())) shared_->insert(tensor.name);
    }
    return [this](const std::string& name) { return shared_->contains(name); };
  }
  if (!algorithm_.also_sent) return {};
  return [extra = besides()](const std::string& name) { return !extra(name); };
}

template <class T, class D>
typename Average<T>::Names Server<T, D>::besides() {
  if (!besides_) {
    besides_.emplace();
    for (const auto& tensor : algorithm_.also_sent(model_)) besides_->insert(tensor.name);
  }
  return [this](const std::string& name) { return besides_->contains(name); };
}

}  // namespace loru::inline LORU_ISA::fl
