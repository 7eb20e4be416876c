#pragma once
// Room optim: optimizers, clipping and schedules. Knows variables, not layers.

#include <loru/optim/adam.hpp>
#include <loru/optim/clip.hpp>
#include <loru/optim/optimizer.hpp>
#include <loru/optim/options.hpp>
#include <loru/optim/schedule.hpp>
#include <loru/optim/sgd.hpp>
