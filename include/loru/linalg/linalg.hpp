#pragma once
// Room linalg: decompositions and norms, in double.

#include <loru/linalg/norms.hpp>
#include <loru/linalg/qr.hpp>
#include <loru/linalg/svd.hpp>

#ifndef LORU_COMPILED
#include <loru/linalg/eigen.hpp>
#include <loru/linalg/qr_bodies.hpp>
#include <loru/linalg/svd_bodies.hpp>
#endif
