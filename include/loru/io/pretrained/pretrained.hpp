#pragma once
// Published transformers: their configurations and weights, and adapters to them.

#include <loru/io/pretrained/adapter.hpp>
#include <loru/io/pretrained/configuration.hpp>
#include <loru/io/pretrained/weights.hpp>

#ifndef LORU_COMPILED
#include <loru/io/pretrained/adapter_bodies.hpp>
#include <loru/io/pretrained/configuration_bodies.hpp>
#include <loru/io/pretrained/weights_bodies.hpp>
#endif
