#pragma once
// Numbers and tables for people.

#include <optional>
#include <string>
#include <vector>

namespace federate {

/// Mean and standard deviation of a sample; nothing where there are too few values.
struct Statistic {
  std::optional<double> mean, deviation;
};

Statistic statistic(const std::vector<double>& values);

/// factor · value with so many digits after the point; empty for nothing.
std::string fixed(std::optional<double> value, double factor, int digits);

/// "97.12 ± 0.31": factor times mean and deviation.
std::string with_deviation(const Statistic& s, double factor, int digits);

/// Three significant digits.
std::string short_number(double value);

/// A Markdown table whose columns are padded, so that it reads as a table too. The first row is the head.
std::string aligned(const std::vector<std::vector<std::string>>& cells);

}  // namespace federate
