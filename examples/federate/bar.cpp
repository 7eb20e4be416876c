#include "bar.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "progress.hpp"

namespace federate {

Bar::Bar(bool quiet) : kind_{quiet ? Kind::none : ::isatty(STDOUT_FILENO) ? Kind::bar : Kind::lines} {}

void Bar::show(loru::Index done, loru::Index total, const std::string& text, double seconds_left) {
  if (kind_ == Kind::none) return;
  const std::string line =
      loru::concat(done, '/', total, "  ", text, "  ", human_time(seconds_left), " left");
  if (kind_ == Kind::bar)
    std::printf("\r\033[K%s", line.substr(0, terminal_width() - 1).c_str());
  else
    std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  open_ = kind_ == Kind::bar;
}

void Bar::end() {
  if (open_) std::printf("\n");
  open_ = false;
}

}  // namespace federate
