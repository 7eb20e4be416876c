#pragma once
// In place of the emulator, where nvcc compiles the tests for a device: its options and counts, which stay as
// they are.
#include "../../emulator/fault.hpp"
