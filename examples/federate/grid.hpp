#pragma once
// The grid of a sweep: keys with several values each, and their combinations.

#include <string>
#include <vector>

namespace federate {

/// A value of a key: as TOML, as people read it, and as a part of a file's name.
struct GridValue {
  std::string toml, text, name;
};

/// A swept key and its values.
struct Axis {
  std::string key;
  std::vector<GridValue> values;
};

/// All combinations of the axes' values. The last key varies fastest.
class Grid {
 public:
  /// Each sweep is "KEY=V1,V2,...": the elements of a TOML array, or words between commas, of which those
  /// that are no TOML are strings. Throws ConfigError for fewer than two values, a value or a key given
  /// twice, and points whose names are too long for a file.
  explicit Grid(const std::vector<std::string>& sweeps);

  const std::vector<Axis>& axes() const { return axes_; }
  std::vector<std::string> keys() const;
  std::size_t size() const;

  /// The value of an axis at a point, and its place among the axis's values.
  const GridValue& value(std::size_t point, std::size_t axis) const {
    return axes_[axis].values[place(point, axis)];
  }
  std::size_t place(std::size_t point, std::size_t axis) const {
    return point / stride(axis) % axes_[axis].values.size();
  }
  /// Points from one value of an axis to the next.
  std::size_t stride(std::size_t axis) const;

  /// "optimizer.learning_rate=0.1,lowrank.rank=4", a file's name: bytes of values that are not letters,
  /// digits or one of . _ - are written as %XX; elements of a list are joined by +.
  std::string name(std::size_t point) const;

  /// "KEY=TOML" for each axis.
  std::vector<std::string> assignments(std::size_t point) const;

 private:
  std::vector<Axis> axes_;
};

}  // namespace federate
