#pragma once
// Sub-room message: the messages between server and clients, and their codecs.

#include <loru/fl/message/codec.hpp>
#include <loru/fl/message/dense.hpp>
#include <loru/fl/message/downlink.hpp>
#include <loru/fl/message/head.hpp>
#include <loru/fl/message/merges.hpp>
#include <loru/fl/message/resize.hpp>
#include <loru/fl/message/sparse.hpp>
#include <loru/fl/message/state.hpp>
#include <loru/fl/message/table.hpp>
#include <loru/fl/message/uplink.hpp>
