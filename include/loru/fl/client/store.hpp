#pragma once
// Client states: what clients keep between their turns (personal factors, controls, errors left over by
// codecs).

#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <loru/io/safetensors.hpp>

namespace loru::inline LORU_ISA::fl {

/// The states of clients by client number; a state is named tensors. Only states that were saved take room.
/// Several threads may load at the same time, but not while one saves.
class ClientStore {
 public:
  virtual ~ClientStore() = default;
  /// The state saved last for the client; empty if there is none. Errors of the archive begin with "client
  /// <number>: state".
  virtual std::optional<io::Archive> load(Index client) = 0;
  virtual void save(Index client, const io::Archive& state) = 0;

 protected:
  static std::string origin(Index client) { return concat("client ", client, ": state"); }
};

/// Client states in memory.
class MemoryStore final : public ClientStore {
 public:
  std::optional<io::Archive> load(Index client) override {
    const auto found = states_.find(client);
    return found == states_.end() ? std::nullopt : std::optional(found->second);
  }
  /// Copies the tensors.
  void save(Index client, const io::Archive& state) override {
    states_.insert_or_assign(client, io::parse(io::serialise(state), origin(client)));
  }
  /// Clients with a state.
  Index size() const { return static_cast<Index>(states_.size()); }

 private:
  std::map<Index, io::Archive> states_;
};

/// Client states as files `<client>.safetensors` of a folder, each written atomically: they outlive the
/// program. The folder is made for the first of them.
class DiskStore final : public ClientStore {
 public:
  explicit DiskStore(std::filesystem::path folder) : folder_{std::move(folder)} {}

  /// Throws IoError if the file cannot be read, DataError if it is no archive.
  std::optional<io::Archive> load(Index client) override {
    if (!std::filesystem::exists(path(client))) return std::nullopt;
    return io::parse(io::read_file(path(client)), origin(client));
  }
  /// Throws IoError; the former file is then unchanged.
  void save(Index client, const io::Archive& state) override {
    io::make_directories(folder_);
    io::save(path(client), state);
  }
  /// Removes every client's file, and nothing else.
  void clear() {
    std::error_code code;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, code))
      if (is_state(entry.path())) std::filesystem::remove(entry.path());
  }

 private:
  std::filesystem::path path(Index client) const {
    return folder_ / (std::to_string(client) + ".safetensors");
  }

  static bool is_state(const std::filesystem::path& file) {
    const std::string stem = file.stem().string();
    return file.extension() == ".safetensors" && !stem.empty() &&
           stem.find_first_not_of("0123456789") == std::string::npos;
  }

  std::filesystem::path folder_;
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
