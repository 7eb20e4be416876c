#pragma once
// The keys of a configuration file as text, and which of them runs that are compared have in common.

#include <map>
#include <string>

namespace federate {

using Settings = std::map<std::string, std::string>;

/// Every key with its value, also where it has its default. Throws as read_configuration does.
Settings read_settings(const std::string& file);

struct Configuration;
Settings settings_of(const Configuration& configuration);

/// Whether the key has to agree: it says which data, clients, cohorts or evaluation a run has. The seed,
/// which draws them, has to agree as well where runs of one seed are compared.
bool has_to_agree(const std::string& key);

/// Throws ConfigError "<got_from>: <key>: expected ... as in <expected_from>, got ..." for the first key
/// that differs.
void require_equal(const Settings& expected, const std::string& expected_from, const Settings& got,
                   const std::string& got_from);

/// Throws ConfigError "<who>: <key>: the run has ..., got ..." unless a run's configuration with the
/// overrides of the command line is the run's, but for the data's folder.
void require_same_run(const Configuration& run, const Configuration& overridden, const std::string& who);

}  // namespace federate
