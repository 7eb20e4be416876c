#pragma once
// The progress of work in steps of one kind: a bar on a terminal, plain lines elsewhere, nothing if quiet.

#include <string>

#include <loru/core/shape.hpp>

namespace federate {

class Bar {
 public:
  explicit Bar(bool quiet);

  /// Shows that `done` of `total` steps are done, the last of them described by `text`, and the seconds
  /// left.
  void show(loru::Index done, loru::Index total, const std::string& text, double seconds_left);

  /// Ends the bar, so that what follows begins a new line.
  void end();

 private:
  enum class Kind { none, lines, bar } kind_;
  bool open_ = false;  // whether the cursor stands in a bar
};

}  // namespace federate
