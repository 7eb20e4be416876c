#pragma once
// Room ops: what a device computes: the contract, its types and shapes, and what any device may fall back on.

#include <loru/ops/backend.hpp>
#include <loru/ops/list.hpp>
#include <loru/ops/rates.hpp>
#include <loru/ops/rules.hpp>
#include <loru/ops/sequence.hpp>
#include <loru/ops/shapes.hpp>
#include <loru/ops/transfer.hpp>
#include <loru/ops/types.hpp>
#include <loru/ops/unfused.hpp>
#include <loru/ops/work.hpp>
