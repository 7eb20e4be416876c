#pragma once
// Everything that loru compiles once, for one source of a program whose others are compiled with
// LORU_COMPILED defined. The target loru::compiled does the same in several sources.

#include <loru/compiled/begin.hpp>
#include <loru/compiled/data.hpp>
#include <loru/compiled/federation.hpp>
#include <loru/compiled/files.hpp>
#include <loru/compiled/models.hpp>
#include <loru/compiled/ops.hpp>
#include <loru/compiled/products.hpp>
#include <loru/compiled/scalar.hpp>
