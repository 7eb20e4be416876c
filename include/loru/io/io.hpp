#pragma once
// Room io: files written atomically, named tensors in the safetensors format, GGUF, JSON, CSV tables.

#include <loru/io/append_file.hpp>
#include <loru/io/archive.hpp>
#include <loru/io/csv.hpp>
#include <loru/io/file.hpp>
#include <loru/io/gguf.hpp>
#include <loru/io/json.hpp>
#include <loru/io/pretrained/pretrained.hpp>
#include <loru/io/safetensors.hpp>

#ifndef LORU_COMPILED
#include <loru/io/gguf_bodies.hpp>
#include <loru/io/json_bodies.hpp>
#include <loru/io/pretrained/adapter_bodies.hpp>
#include <loru/io/pretrained/configuration_bodies.hpp>
#include <loru/io/pretrained/weights_bodies.hpp>
#include <loru/io/safetensors_bodies.hpp>
#endif
