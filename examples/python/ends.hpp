#pragma once
// The two ends of a federation for Python, joined by nothing but bytes. Calls from several threads take
// turns.

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <loru/fl/server/server.hpp>

#include "model.hpp"

namespace loru_python {

class Server {
 public:
  /// `ranks` are the rank budgets of the clients, where they have some of their own; `max_samples` the most
  /// samples that a client may say it has. Throws as fl::Server does.
  Server(Model& model, Index clients, const std::optional<std::vector<Index>>& ranks,
         std::optional<Index> max_samples);

  /// Throws Error while updates of the last round are neither folded nor dropped.
  void begin_round();
  py::bytes broadcast(Index client);
  /// `client` is the one that the update came from, where the caller knows; otherwise the message says.
  void receive(const py::bytes& update, std::optional<Index> client);
  double finish_round();
  void drop_updates();
  void lost(Index client);
  void arrived(Index client);
  /// Throws Error while updates are neither folded nor dropped: they would not be in it.
  py::bytes save();
  void restore(const py::bytes& state);

  Index round();
  Index merges();
  std::shared_ptr<Model> model();

 private:
  void require_folded(const char* before) const;

  federate::Setup setup_;
  loru::fl::Server<float> server_;
  std::mutex mutex_;
};

class Client {
 public:
  explicit Client(Model& model);

  /// A turn: the broadcast and the client's samples in, its update out. Throws as fl::answer does, and
  /// DataError for a broadcast of another seed than the model's, of another client than the first one was,
  /// and of a round that is not after the last one answered.
  py::bytes answer(const py::bytes& broadcast, const py::array& x, const py::array& y);

  /// The client's state between turns with its number and its last round, without its model; no bytes
  /// before its first turn. Setting it throws DataError for what no client of the model keeps.
  py::bytes state();
  void set_state(const py::bytes& state);
  std::shared_ptr<Model> model();

 private:
  federate::Setup setup_;
  loru::fl::AnyAlgorithm<float> algorithm_;
  loru::io::Archive state_{"state"};
  std::optional<Index> number_;
  Index round_ = 0;  // the last one answered
  std::mutex mutex_;
};

}  // namespace loru_python
