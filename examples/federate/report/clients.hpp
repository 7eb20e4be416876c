#pragma once
// The clients: their labels, samples and personal accuracy (clients.csv).

#include <vector>

#include "page.hpp"
#include "read.hpp"

namespace federate::report {

/// Nothing where no run has a clients.csv.
void add_clients(Page& page, const std::vector<Group>& groups);

}  // namespace federate::report
