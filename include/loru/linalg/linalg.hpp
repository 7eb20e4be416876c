#pragma once
// Room linalg: dense linear algebra on host memory.

#include <loru/linalg/eigen.hpp>
#include <loru/linalg/gemm.hpp>
#include <loru/linalg/microkernel.hpp>
#include <loru/linalg/norms.hpp>
#include <loru/linalg/qr.hpp>
#include <loru/linalg/svd.hpp>
#include <loru/linalg/transpose.hpp>
