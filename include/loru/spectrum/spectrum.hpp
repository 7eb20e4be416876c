#pragma once
// Room spectrum: curvature of a loss as an operator, and what its products tell of its eigenvalues.

#include <loru/spectrum/curvature.hpp>
#include <loru/spectrum/density.hpp>
#include <loru/spectrum/dual_model.hpp>
#include <loru/spectrum/lanczos.hpp>
#include <loru/spectrum/measure.hpp>
#include <loru/spectrum/operator.hpp>
#include <loru/spectrum/span.hpp>
#include <loru/spectrum/vectors.hpp>
