#pragma once
// The parts of the study that federate does not measure itself. Each writes one table.

#include "common.hpp"

namespace theory {

/// Separate models on the first `counts` samples of a seed's order, measured after `steps` and after
/// `epochs`.
void sizes(const Study& study, const std::vector<Index>& counts, const std::vector<Index>& steps,
           const std::vector<Index>& epochs);

/// How alike clients' gradients, and updates of real turns, are when they are cut to rank r; with controls.
/// The clients are the first `clients` of 100 of the partition; the model has been trained for `rounds` of
/// FedAvg.
void alignment(const Study& study, const std::string& partition, Index clients,
               const std::vector<Index>& rounds, const std::vector<Index>& ranks);

/// Dense federated averaging whose clients' updates are projected: on their top r, on a random r, off the
/// top of their Hessian.
void projections(const Study& study, const std::string& partition, Index rounds,
                 const std::vector<Index>& ranks);

}  // namespace theory
