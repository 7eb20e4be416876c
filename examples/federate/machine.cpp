#include "machine.hpp"

#include <fstream>
#include <string_view>
#include <thread>

namespace federate {

namespace {

/// What /proc/cpuinfo of Linux says of the first processor.
std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  constexpr std::string_view key = "model name";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      if (const auto begin = line.find_first_not_of(" \t:", key.size()); begin != std::string::npos)
        return line.substr(begin);
  return {};
}

}  // namespace

Machine this_machine() { return {cpu_model(), std::thread::hardware_concurrency()}; }

}  // namespace federate
