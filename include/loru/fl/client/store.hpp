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
  /// What is written from now on is of this round.
  virtual void begin_round(Index) {}
  /// Adds the states to an archive, or what finds them again, and takes them back from there. take_from()
  /// throws DataError for a malformed archive, and changes nothing then. Default: nothing, they are on disk.
  virtual void put_into(io::Archive&) {}
  virtual void take_from(const io::Archive&) {}

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
  /// state/<client> is the state as a message.
  void put_into(io::Archive& archive) override {
    for (const auto& [client, state] : states_)
      archive.put_raw(concat("state/", client), {io::DType::u8, Shape{std::ssize(*state)}, *state, state});
  }
  void take_from(const io::Archive& archive) override {
    constexpr std::string_view prefix = "state/";
    std::map<Index, Bytes> states;
    for (const auto& [name, raw] : archive.tensors()) {
      if (!name.starts_with(prefix)) continue;
      const auto client = parse_number<Index>(name.substr(prefix.size()));
      require<DataError>(client && *client >= 0, archive.origin(), ": tensor ", name,
                         ": expected the number of a client");
      io::borrow(raw.bytes, origin(*client));  // throws for what is no state
      states.emplace(*client, std::make_shared<const Message>(raw.bytes.begin(), raw.bytes.end()));
    }
    states_ = std::move(states);
    written_.clear();
  }

 private:
  std::map<Index, Bytes> states_, written_;
};

namespace detail {

/// Whether a file has the name of a client's state: <client>.safetensors, <client>.next.safetensors or
/// <client>.<round>.safetensors.
inline bool is_state(const std::filesystem::path& file) {
  const std::filesystem::path stem = file.stem(), version = stem.extension();
  const auto number = [](const std::string& text) {
    const auto value = parse_number<Index>(text);
    return value && *value >= 0 && text == std::to_string(*value);
  };
  return file.extension() == ".safetensors" && number(stem.stem().string()) &&
         (version.empty() || version == ".next" || number(version.string().substr(1)));
}

}  // namespace detail

/// Client states as files `<client>.safetensors` of a folder, each written atomically: they outlive the
/// program. The folder is made for the first of them. Until commit() a file is called
/// `<client>.next.safetensors`.
class DiskStore final : public ClientStore {
 public:
  explicit DiskStore(std::filesystem::path folder) : folder_{std::move(folder)} {}

  /// Throws IoError if the file cannot be read.
  Bytes read(Index client) override {
    std::error_code code;
    const bool there = std::filesystem::exists(path(client), code);
    require<IoError>(!code, path(client).native(), ": cannot read: ", code.message());
    if (!there) return nullptr;
    return std::make_shared<const Message>(io::read_file(path(client)));
  }
  /// Throws IoError.
  void write(Index client, Message&& state) override {
    io::make_directories(folder_);
    written_.insert(client);
    io::write_file(path(client, ".next"), state);
  }
  /// Renames every file that can be. Throws IoError if one cannot: what is not renamed stays written, for
  /// another commit() or for discard().
  void commit() override {
    std::error_code reason;
    std::erase_if(written_, [&](Index client) {
      std::error_code code;
      std::filesystem::rename(path(client, ".next"), path(client), code);
      if (code) reason = code;
      return !code;
    });
    if (!written_.empty())
      fail<IoError>(path(*written_.begin()).native(), ": cannot write: ", reason.message());
  }
  void discard() override {
    std::error_code code;
    for (const Index client : written_) std::filesystem::remove(path(client, ".next"), code);
    written_.clear();
  }
  std::vector<Index> clients() override {
    std::error_code code;
    std::vector<Index> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, code)) {
      const std::string name = entry.path().filename().string();
      const auto client = parse_number<Index>(name.substr(0, name.find('.')));
      if (client && *client >= 0 && name == path(*client).filename()) all.push_back(*client);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  /// Removes every client's files, those of a VersionedStore too, and nothing else. Throws IoError.
  void clear() {
    std::error_code code;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, code)) {
      if (!detail::is_state(entry.path())) continue;
      std::filesystem::remove(entry.path(), code);
      require<IoError>(!code, entry.path().native(), ": cannot remove: ", code.message());
    }
  }

 private:
  std::filesystem::path path(Index client, const char* suffix = "") const {
    return folder_ / concat(client, suffix, ".safetensors");
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
