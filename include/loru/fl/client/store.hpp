#pragma once
// Client states: what clients keep between their turns (personal factors, controls, errors left over by
// codecs).

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <loru/core/text.hpp>
#include <loru/fl/message/head.hpp>

namespace loru::inline LORU_ISA::fl {

/// The states of clients by client number; a state is named tensors, kept as a message. Only states that were
/// written take room. What is written holds from commit() on. Several threads may read at the same time, also
/// while one writes, but not during commit() and discard().
class ClientStore {
 public:
  virtual ~ClientStore() = default;
  /// The client's state; none if it has none.
  virtual Bytes read(Index client) = 0;
  /// The state that the client will have.
  virtual void write(Index client, Message&& state) = 0;
  /// What was written since the last commit() holds from now on.
  virtual void commit() = 0;
  /// Forgets what was written since the last commit().
  virtual void discard() = 0;
  /// The clients that have a state, ascending.
  virtual std::vector<Index> clients() = 0;

  /// The client's state; empty if it has none. Errors of the archive begin with "client <number>: state".
  std::optional<io::Archive> load(Index client) {
    const Bytes state = read(client);
    return state ? std::optional(io::parse(std::span(*state), origin(client))) : std::nullopt;
  }
  /// Writes an archive.
  void save(Index client, const io::Archive& state) { write(client, io::serialise(state)); }

  /// How errors name a client's state.
  static std::string origin(Index client) { return concat("client ", client, ": state"); }
};

/// Client states in memory.
class MemoryStore final : public ClientStore {
 public:
  Bytes read(Index client) override {
    const auto found = states_.find(client);
    return found == states_.end() ? nullptr : found->second;
  }
  void write(Index client, Message&& state) override {
    written_[client] = std::make_shared<const Message>(std::move(state));
  }
  void commit() override {
    for (auto& [client, state] : written_) states_[client] = std::move(state);
    written_.clear();
  }
  void discard() override { written_.clear(); }
  std::vector<Index> clients() override {
    std::vector<Index> all;
    for (const auto& [client, state] : states_) all.push_back(client);
    return all;
  }

 private:
  std::map<Index, Bytes> states_, written_;
};

/// Client states as files `<client>.safetensors` of a folder, each written atomically: they outlive the
/// program. The folder is made for the first of them. Until commit() a file is called
/// `<client>.next.safetensors`.
class DiskStore final : public ClientStore {
 public:
  explicit DiskStore(std::filesystem::path folder) : folder_{std::move(folder)} {}

  /// Throws IoError if the file cannot be read.
  Bytes read(Index client) override {
    if (!std::filesystem::exists(path(client))) return nullptr;
    return std::make_shared<const Message>(io::read_file(path(client)));
  }
  /// Throws IoError.
  void write(Index client, Message&& state) override {
    io::make_directories(folder_);
    written_.insert(client);
    io::write_file(path(client, ".next"), state);
  }
  /// Throws IoError.
  void commit() override {
    for (const Index client : written_) {
      std::error_code code;
      std::filesystem::rename(path(client, ".next"), path(client), code);
      require<IoError>(!code, path(client).native(), ": cannot write: ", code.message());
    }
    written_.clear();
  }
  void discard() override {
    std::error_code code;
    for (const Index client : written_) std::filesystem::remove(path(client, ".next"), code);
    written_.clear();
  }
  std::vector<Index> clients() override { return named(""); }
  /// Removes every client's files, and nothing else.
  void clear() {
    for (const char* suffix : {"", ".next"})
      for (const Index client : named(suffix)) std::filesystem::remove(path(client, suffix));
  }

 private:
  std::filesystem::path path(Index client, const char* suffix = "") const {
    return folder_ / concat(client, suffix, ".safetensors");
  }

  /// The clients that the folder has a file of this kind of, ascending.
  std::vector<Index> named(const char* suffix) const {
    std::error_code code;
    std::vector<Index> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, code)) {
      const std::string name = entry.path().filename().string();
      const auto client = parse_number<Index>(name.substr(0, name.find('.')));
      if (client && *client >= 0 && name == path(*client, suffix).filename()) all.push_back(*client);
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  std::filesystem::path folder_;
  std::set<Index> written_;
};

/// A tensor of a client's state. Throws DataError if it is missing, or if its type or shape shows that it
/// belongs to another model.
template <class T>
Tensor<T> personal_tensor(const io::Archive& state, Index client, const std::string& name,
                          const Shape& shape) {
  const auto say = concat("client ", client, ": personal state: ");
  require<DataError>(state.contains(name), say, "expected ", name, ", which is not there");
  const io::RawTensor& raw = state.raw(name);
  require<DataError>(raw.dtype == io::dtype_of<T>, say, name, ": expected ", io::to_string(io::dtype_of<T>),
                     ", got ", io::to_string(raw.dtype));
  require<DataError>(raw.shape == shape, say, name, ": expected ", shape, ", got ", raw.shape);
  return state.get<T>(name);
}

}  // namespace loru::inline LORU_ISA::fl
