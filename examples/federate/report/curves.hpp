#pragma once
// Metrics and loss against rounds and against bytes.

#include <vector>

#include "page.hpp"
#include "read.hpp"

namespace federate::report {

void add_curves(Page& page, const std::vector<Group>& groups);

}  // namespace federate::report
