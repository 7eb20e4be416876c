#pragma once
// The whole library: one include per room.

#include <loru/autograd/autograd.hpp>
#include <loru/core/core.hpp>
#include <loru/cpu/cpu.hpp>
#include <loru/data/data.hpp>
#include <loru/fl/fl.hpp>
#include <loru/io/io.hpp>
#include <loru/linalg/linalg.hpp>
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/nn.hpp>
#include <loru/ops/ops.hpp>
#include <loru/optim/optim.hpp>
#include <loru/spectrum/spectrum.hpp>
#include <loru/train/train.hpp>
#include <loru/version.hpp>
