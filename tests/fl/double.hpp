#pragma once
// Training and federations in double, which loru::compiled has in float alone: compiled once, by double.cpp.

#include <loru/compiled/scalar.hpp>

#ifdef LORU_COMPILED
LORU_COMPILED_TRAINING(extern template, double)
LORU_COMPILED_FEDERATION(extern template, double)
#endif
