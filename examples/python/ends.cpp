#include "ends.hpp"

#include <cstring>
#include <numeric>
#include <string_view>

#include <loru/fl/client/turn.hpp>
#include <loru/train/tasks/tasks.hpp>

namespace loru_python {

using loru::ConfigError, loru::DataError, loru::require;
namespace fl = loru::fl;

namespace {

/// What a client's state tells besides what the algorithm keeps; both are 32 bits of a stream's key.
constexpr const char *client_key = "client", *round_key = "round";
constexpr Index most_counted = (Index{1} << 32) - 1;

/// The bytes of a Python object, which nobody changes; valid while it is there.
std::span<const std::byte> view(const py::bytes& bytes) {
  const std::string_view text = bytes;
  return std::as_bytes(std::span(text));
}

fl::Message copy(const py::bytes& bytes) {
  const auto all = view(bytes);
  return {all.begin(), all.end()};
}

py::bytes python_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

fl::ServerOptions options_of(const federate::Configuration& c, Index clients,
                             const std::optional<std::vector<Index>>& ranks,
                             std::optional<Index> max_samples) {
  require<ConfigError>(c.warmup_rounds == 0,
                       "federation.warmup_rounds: expected 0 for a server over bytes, got ", c.warmup_rounds);
  fl::ServerOptions options{.ranks = ranks ? fl::ClientRanks(*ranks) : fl::ClientRanks(),
                            .clients = clients,
                            .optimizer = c.simulation.server,
                            .codecs = c.simulation.codecs,
                            .limits = c.simulation.limits};
  options.max_samples = max_samples.value_or(options.max_samples);
  return options;
}

std::uint64_t seed_of(const federate::Setup& setup) {
  return static_cast<std::uint64_t>(setup.configuration.seed);
}

/// The model's setup with a copy of the model.
federate::Setup setup_of(Model& model) {
  federate::Setup setup = model.setup();
  setup.model = model.copy();
  return setup;
}

}  // namespace

Server::Server(Model& model, Index clients, const std::optional<std::vector<Index>>& ranks,
               std::optional<Index> max_samples)
    : setup_{setup_of(model)},
      server_{setup_.model, federate::make_algorithm(setup_.configuration), seed_of(setup_),
              options_of(setup_.configuration, clients, ranks, max_samples)} {}

void Server::require_folded(const char* before) const {
  require<loru::Error>(server_.received() == 0, "server: expected finish_round() or drop_updates() before ",
                       before, ", got ", server_.received(), " updates of round ", server_.round());
}

void Server::begin_round() {
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  require_folded("begin_round()");
  server_.begin_round();
}

py::bytes Server::broadcast(Index client) {
  fl::Message message;
  {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    message = server_.broadcast(client);
  }
  return python_bytes(message);
}

void Server::receive(const py::bytes& update, std::optional<Index> client) {
  fl::Message message = copy(update);
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  server_.receive(std::move(message), client);
}

double Server::finish_round() {
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  return server_.finish_round();
}

void Server::drop_updates() {
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  server_.drop_updates();
}

void Server::lost(Index client) {
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  server_.lost(client);
}

void Server::arrived(Index client) {
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  server_.arrived(client);
}

py::bytes Server::save() {
  fl::Message message;
  {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    require_folded("save()");
    loru::io::Archive archive("server");
    server_.save(archive);
    message = loru::io::serialise(archive);
  }
  return python_bytes(message);
}

void Server::restore(const py::bytes& state) {
  fl::Message message = copy(state);
  const py::gil_scoped_release release;
  const std::lock_guard lock(mutex_);
  server_.restore(loru::io::parse(std::move(message), "server"));
}

Index Server::round() {
  const std::lock_guard lock(mutex_);
  return server_.round();
}

Index Server::merges() {
  const std::lock_guard lock(mutex_);
  return server_.merges();
}

std::shared_ptr<Model> Server::model() {
  const std::lock_guard lock(mutex_);
  return std::make_shared<Model>(setup_, server_.model());
}

Client::Client(Model& model)
    : setup_{setup_of(model)}, algorithm_{federate::make_algorithm(setup_.configuration)} {}

py::bytes Client::answer(const py::bytes& broadcast, const py::array& x, const py::array& y) {
  const loru::data::Dataset own = samples_of(x, y, setup_.data.train);
  const auto message = view(broadcast);
  fl::Message update;
  {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    const fl::Head head = fl::detail::get_head(loru::io::borrow(message, "broadcast"), "broadcast");
    require<DataError>(head.seed == seed_of(setup_), "message: metadata 'seed': expected ", seed_of(setup_),
                       ", the model's, got ", head.seed);
    require<DataError>(!number_ || head.client == *number_, "message: metadata 'client': expected ",
                       number_.value_or(0), ", this client's, got ", head.client);
    require<DataError>(head.round > round_, "message: metadata 'round': expected a round after ", round_,
                       ", the last one answered, got ", head.round);
    std::vector<Index> samples(static_cast<std::size_t>(own.size()));
    std::iota(samples.begin(), samples.end(), Index{0});
    update = fl::answer(setup_.model, message, algorithm_, loru::train::DeviceData<loru::Cpu>(own), samples,
                        setup_.configuration.simulation.client, state_,
                        loru::train::make_task<float>(setup_.configuration.task));
    number_ = head.client;
    round_ = head.round;
  }
  return python_bytes(update);
}

py::bytes Client::state() {
  const std::lock_guard lock(mutex_);
  if (!number_) return py::bytes();
  loru::io::Archive archive = state_;
  archive.metadata()[client_key] = std::to_string(*number_);
  archive.metadata()[round_key] = std::to_string(round_);
  return python_bytes(loru::io::serialise(archive));
}

void Client::set_state(const py::bytes& state) {
  loru::io::Archive archive("state");
  std::optional<Index> number;
  Index round = 0;
  if (!view(state).empty()) {
    archive = loru::io::parse(copy(state), "state");
    number = fl::get_number(archive, client_key, 0, most_counted);
    round = fl::get_number(archive, round_key, 1, most_counted);
    archive.metadata().erase(client_key);
    archive.metadata().erase(round_key);
  }
  const std::lock_guard lock(mutex_);
  fl::check_state(archive, setup_.model, algorithm_);
  state_ = std::move(archive);
  number_ = number;
  round_ = round;
}

std::shared_ptr<Model> Client::model() {
  const std::lock_guard lock(mutex_);
  return std::make_shared<Model>(setup_, setup_.model);
}

}  // namespace loru_python
