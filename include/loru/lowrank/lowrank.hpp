#pragma once
// Room lowrank: factorising, planning, merging, and ranks of what was learnt.

#include <loru/lowrank/aggregation_aware.hpp>
#include <loru/lowrank/core_factored.hpp>
#include <loru/lowrank/explain.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/hadamard.hpp>
#include <loru/lowrank/init.hpp>
#include <loru/lowrank/merge.hpp>
#include <loru/lowrank/nested.hpp>
#include <loru/lowrank/planner.hpp>
#include <loru/lowrank/product.hpp>
#include <loru/lowrank/rank.hpp>
#include <loru/lowrank/rates.hpp>
#include <loru/lowrank/resize.hpp>
#include <loru/lowrank/stack.hpp>
#include <loru/lowrank/tail.hpp>
#include <loru/lowrank/visit.hpp>
