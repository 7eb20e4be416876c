#pragma once
// Training and federations; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/compiled/scalar.hpp>

LORU_COMPILED_TRAINING(template, float)
LORU_COMPILED_FEDERATION(template, float)
