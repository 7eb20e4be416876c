#include "processes.hpp"

#include <cstdlib>

#include <loru/core/error.hpp>
#include <loru/core/text.hpp>

namespace federate {

std::optional<Launched> launched() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* text = std::getenv(variable))
      if (const auto count = loru::parse_number<Index>(text); count && *count > 1)
        return Launched{*count, variable};
  return std::nullopt;
}

bool first_launched() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK"})
    if (const char* text = std::getenv(variable)) return !launched() || loru::parse_number<Index>(text) == 0;
  return true;
}

void require_one_process(const std::string& out) {
  const auto several = launched();
  if (several && !first_launched()) throw SaidByFirst();
  if (several)
    loru::fail<loru::ConfigError>("started with ", several->processes, " ranks (", several->variable,
                                  ") without --executor mpi: all would write ", out);
}

}  // namespace federate
