#pragma once
// Means over seeds and clients, and how they are written.

#include <string>
#include <vector>

#include "read.hpp"

namespace federate::report {

struct Statistic {
  std::size_t count = 0;
  double mean = 0.0, deviation = 0.0, low = 0.0, high = 0.0;  // deviation of the sample, 0 of one value
};

Statistic statistic(const std::vector<double>& values);

/// Of a number of summary.json over the runs that count and have it.
Statistic over(const Group& group, const std::string& number);

/// "91.20 ± 0.35", with so many digits after the point; without the deviation of one value, empty without
/// values.
std::string mean_text(const Statistic& s, double factor, int digits);

/// How a metric or a loss is shown.
struct Quantity {
  std::string name;  // as in test_<name>
  double factor = 1.0;
  std::string unit = {};

  std::string label() const { return unit.empty() ? name : name + ", " + unit; }
  /// Of a mean: "91.25 %".
  std::string text(double value) const;
};

Quantity quantity(const std::string& name);

/// The metrics of the runs' task, the first one first; the loss is none of them.
std::vector<Quantity> metrics(const std::vector<Group>& groups);

/// The number of summary.json that holds a metric's value at the end.
std::string final_number(const Quantity& metric);

/// At most `styles` groups for one figure: the best by their final accuracy, on the
/// validation set where there is one, or by their loss where they have none.
std::vector<const Group*> best_groups(const std::vector<Group>& groups);

/// "3 of 12 configurations ..." where a figure leaves some out, else nothing.
std::string left_out_note(const std::vector<Group>& groups);

}  // namespace federate::report
