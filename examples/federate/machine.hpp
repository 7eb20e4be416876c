#pragma once
// The machine that a run is on.

#include <string>

namespace federate {

struct Machine {
  std::string cpu;     // the processor's model; empty where the system does not say
  unsigned cores = 0;  // that the program may use
};

Machine this_machine();

}  // namespace federate
