#pragma once
// Client states on disk that a checkpoint can go back to.

#include <set>

#include <loru/fl/client/store.hpp>
#include <loru/fl/message/table.hpp>

namespace loru::inline LORU_ISA::fl {

/// Client states as files `<client>.<round>.safetensors` of a folder: the state that the client had after
/// that round, its version. A checkpoint names the version of each client (tensor `states`), so that files
/// that a checkpoint names are neither changed nor removed while it is kept; others are removed as soon as
/// the client has a new version. The folder is made for the first of them.
class VersionedStore final : public ClientStore {
 public:
  explicit VersionedStore(std::filesystem::path folder) : folder_{std::move(folder)} {}

  /// Throws IoError if the file cannot be read.
  Bytes read(Index client) override {
    const auto found = versions_.find(client);
    if (found == versions_.end()) return nullptr;
    return std::make_shared<const Message>(io::read_file(path(client, found->second)));
  }
  /// A new version. Throws IoError.
  void write(Index client, Message&& state) override {
    io::make_directories(folder_);
    written_.insert(client);
    io::write_file(path(client, round_), state);
  }
  void commit() override {
    for (const Index client : written_) {
      const auto [entry, first] = versions_.try_emplace(client, round_);
      if (!first && entry->second != round_) replace(client, std::exchange(entry->second, round_));
    }
    written_.clear();
  }
  void discard() override {
    for (const Index client : written_) remove(client, round_);
    written_.clear();
  }
  std::vector<Index> clients() override {
    std::vector<Index> all;
    for (const auto& [client, version] : versions_) all.push_back(client);
    return all;
  }
  void begin_round(Index round) override { round_ = round; }

  /// The versions stay until clean(), even if they are replaced.
  void put_into(io::Archive& archive) override {
    named_ = round_;
    Table rows;
    for (const auto& [client, version] : versions_) rows.push_back({client, version});
    put_table(archive, "states", rows);
  }
  void take_from(const io::Archive& archive) override {
    versions_ = named(archive);
    named_ = 0;
    for (const auto& [client, version] : versions_) named_ = std::max(named_, version);
    replaced_.clear();
  }

  /// No client has a state any longer; the files stay for the checkpoints.
  void forget() {
    ++round_;
    for (const auto& [client, version] : std::exchange(versions_, {})) replace(client, version);
  }

  /// To be called once a checkpoint is written: removes the files that neither it nor the one before names,
  /// which was written after round `before`; nothing if there is none.
  void clean(std::optional<Index> before) {
    std::erase_if(replaced_, [&](const Replaced& old) {
      if (before && old.version <= *before && *before < old.until) return false;
      remove(old.client, old.version);
      return true;
    });
  }

  /// To be called when a run goes on: removes every client's file but those of the present states and those
  /// that the checkpoint before names, if there is one.
  void clean(const io::Archive* before) {
    std::set<std::filesystem::path> kept;
    for (const auto& [client, version] : versions_) kept.insert(path(client, version));
    if (before)
      for (const auto& [client, version] : named(*before))
        if (kept.insert(path(client, version)).second) replaced_.push_back({client, version, round_});
    std::error_code code;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, code))
      if (detail::is_state(entry.path()) && !kept.contains(entry.path()))
        std::filesystem::remove(entry.path(), code);
  }

 private:
  struct Replaced {
    Index client, version, until;  // it was the client's state up to the round before `until`
  };
  using Versions = std::map<Index, Index>;

  static Versions named(const io::Archive& archive) {
    Versions versions;
    for (const auto& row : get_table(archive, "states", 2)) {
      require_between(archive, "tensor states: client", row[0], 0);
      require_between(archive, concat("tensor states: client ", row[0]), row[1], 1);
      versions[row[0]] = row[1];
    }
    return versions;
  }

  /// A version that no checkpoint can name goes at once.
  void replace(Index client, Index version) {
    if (version > named_)
      remove(client, version);
    else
      replaced_.push_back({client, version, round_});
  }

  void remove(Index client, Index version) const {
    std::error_code code;
    std::filesystem::remove(path(client, version), code);
  }

  std::filesystem::path path(Index client, Index round) const {
    return folder_ / concat(client, '.', round, ".safetensors");
  }

  std::filesystem::path folder_;
  Index round_ = 0;
  Index named_ = 0;  // the round of the last archive: no version that it names is later
  Versions versions_;
  std::set<Index> written_;         // clients, in this round
  std::vector<Replaced> replaced_;  // files that a checkpoint may name
};

}  // namespace loru::inline LORU_ISA::fl
