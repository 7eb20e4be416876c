#pragma once
// The rank of the accumulated update, layer by layer.

#include <vector>

#include "page.hpp"
#include "read.hpp"

namespace federate::report {

void add_layers(Page& page, const std::vector<Group>& groups);

}  // namespace federate::report
