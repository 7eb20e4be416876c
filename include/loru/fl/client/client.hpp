#pragma once
// Sub-room client: a turn, and what a client keeps between turns.

#include <loru/fl/client/catch_up.hpp>
#include <loru/fl/client/controls.hpp>
#include <loru/fl/client/own_tensors.hpp>
#include <loru/fl/client/personal_factors.hpp>
#include <loru/fl/client/store.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/client/turn.hpp>
