#pragma once
// Stands in for the library's header of this name, ahead of it on the include path: twins that run on the
// host.
#include <emulator/ptx.hpp>
