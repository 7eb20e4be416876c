#pragma once
// Files and messages; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/io/gguf_bodies.hpp>
#include <loru/io/json_bodies.hpp>
#include <loru/io/pretrained/adapter_bodies.hpp>
#include <loru/io/pretrained/configuration_bodies.hpp>
#include <loru/io/pretrained/weights_bodies.hpp>
#include <loru/io/safetensors_bodies.hpp>
