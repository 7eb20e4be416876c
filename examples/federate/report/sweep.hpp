#pragma once
// A sweep: the metric at the end against the keys that were swept.

#include <vector>

#include "page.hpp"
#include "read.hpp"

namespace federate::report {

void add_sweep(Page& page, const std::vector<Group>& groups, const std::vector<CsvTable>& sweeps);

}  // namespace federate::report
