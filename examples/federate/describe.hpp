#pragma once
// Descriptions of a configuration, without training.

#include <iosfwd>

#include "federation.hpp"

namespace federate {

/// Data set, model with its layers, partition, and bytes a client and round.
void describe(std::ostream& out, Setup& setup, const loru::data::Partition& parts);

/// The factored layers: their products in a step, the predicted milliseconds of every plan, and the plan
/// taken.
void explain(std::ostream& out, const Setup& setup);

/// The first lines of a run: data set, model, algorithm and clients.
std::string headline(Setup& setup);

}  // namespace federate
