#pragma once
// Sub-room client: a client's turn and a client's state.

#include <loru/fl/client/catch_up.hpp>
#include <loru/fl/client/controls.hpp>
#include <loru/fl/client/known_tensors.hpp>
#include <loru/fl/client/own_tensors.hpp>
#include <loru/fl/client/personal_factors.hpp>
#include <loru/fl/client/store.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/client/turn.hpp>
#include <loru/fl/client/versioned_store.hpp>
