#pragma once
// Spectra of a loss's Hessian and its like: stable rank against samples, and the density of eigenvalues.

#include "page.hpp"
#include "read.hpp"

namespace federate::report {

void add_spectrum(Page& page, const Spectrum& spectrum);

}  // namespace federate::report
