#pragma once
// Room ops: what devices compute. The host's ops are here; another device brings its own.

#include <loru/ops/backend.hpp>
#include <loru/ops/bias.hpp>
#include <loru/ops/conv.hpp>
#include <loru/ops/conv_lines.hpp>
#include <loru/ops/conv_windows.hpp>
#include <loru/ops/conv_winograd.hpp>
#include <loru/ops/dual.hpp>
#include <loru/ops/elementwise.hpp>
#include <loru/ops/gather.hpp>
#include <loru/ops/lowrank.hpp>
#include <loru/ops/matmul.hpp>
#include <loru/ops/moments.hpp>
#include <loru/ops/norm.hpp>
#include <loru/ops/pool.hpp>
#include <loru/ops/reduce.hpp>
#include <loru/ops/rows.hpp>
#include <loru/ops/shapes.hpp>
#include <loru/ops/softmax.hpp>
#include <loru/ops/transfer.hpp>
#include <loru/ops/types.hpp>
#include <loru/ops/update.hpp>
#include <loru/ops/winograd_kernel.hpp>
#include <loru/ops/winograd_scheme.hpp>
#include <loru/ops/winograd_tiles.hpp>
#include <loru/ops/winograd_transform.hpp>
