#pragma once
// Room core: errors, shapes, tensors, memory, random streams, threads, dual numbers.

#include <loru/core/blocks.hpp>
#include <loru/core/compiled.hpp>
#include <loru/core/device.hpp>
#include <loru/core/dual.hpp>
#include <loru/core/error.hpp>
#include <loru/core/fields.hpp>
#include <loru/core/half.hpp>
#include <loru/core/host_device.hpp>
#include <loru/core/in_order.hpp>
#include <loru/core/isa.hpp>
#include <loru/core/memory.hpp>
#include <loru/core/parallel.hpp>
#include <loru/core/philox.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/scalar.hpp>
#include <loru/core/shape.hpp>
#include <loru/core/tensor.hpp>
#include <loru/core/text.hpp>
