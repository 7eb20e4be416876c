#pragma once
// Room fl: federations, simulated or built from messages.

#include <loru/fl/algorithm.hpp>
#include <loru/fl/algorithms/algorithms.hpp>
#include <loru/fl/any_algorithm.hpp>
#include <loru/fl/client/client.hpp>
#include <loru/fl/hooks.hpp>
#include <loru/fl/message/message.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/fl/simulation/simulation.hpp>
