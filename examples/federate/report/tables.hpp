#pragma once
// The numbers of runs as tables: results, rounds, configuration, machine.

#include <vector>

#include "page.hpp"
#include "read.hpp"

namespace federate::report {

/// A line a configuration, or for one run an item a line.
void add_results(Page& page, const std::vector<Group>& groups);

/// The metric behind the curves, round by round.
void add_rounds(Page& page, const std::vector<Group>& groups);

/// What the runs were told and where they ran.
void add_configuration(Page& page, const std::vector<Group>& groups);

/// The keys that have not one value in all groups, but for seeds and rates.
std::vector<std::string> differing_keys(const std::vector<Group>& groups);

/// The value of a group's key, strings without their quotes; empty if it has none.
std::string setting(const Group& group, const std::string& key);

}  // namespace federate::report
