#include "table.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <numeric>
#include <sstream>

namespace federate {

Statistic statistic(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (double v : values) squares += (v - mean) * (v - mean);
  return {mean, values.size() > 1 ? std::optional(std::sqrt(squares / (n - 1.0))) : std::nullopt};
}

std::string fixed(std::optional<double> value, double factor, int digits) {
  if (!value) return "";
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << factor * *value;
  return text.str();
}

std::string with_deviation(const Statistic& s, double factor, int digits) {
  return fixed(s.mean, factor, digits) + (s.deviation ? " ± " + fixed(s.deviation, factor, digits) : "");
}

std::string short_number(double value) {
  std::ostringstream text;
  text << std::setprecision(3) << value;
  return text.str();
}

std::string aligned(const std::vector<std::vector<std::string>>& cells) {
  const auto width = [](const std::string& s) {  // characters of UTF-8
    return static_cast<std::size_t>(
        std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths(cells[0].size(), 3);
  for (const auto& row : cells)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string text;
  for (std::size_t line = 0; line < cells.size(); ++line) {
    for (std::size_t i = 0; i < widths.size(); ++i)
      text += "| " + cells[line][i] + std::string(widths[i] - width(cells[line][i]) + 1, ' ');
    text += "|\n";
    if (line > 0) continue;
    for (std::size_t w : widths) text += '|' + std::string(w + 2, '-');
    text += "|\n";
  }
  return text;
}

}  // namespace federate
