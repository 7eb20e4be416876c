#include "statistic.hpp"

#include <algorithm>
#include <cmath>

#include "../table.hpp"
#include "svg.hpp"
#include "text.hpp"

namespace federate::report {

using loru::concat;

Statistic statistic(const std::vector<double>& values) {
  if (values.empty()) return {};
  const federate::Statistic s = federate::statistic(values);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {values.size(), *s.mean, s.deviation.value_or(0.0), *low, *high};
}

Statistic over(const Group& group, const std::string& number) {
  std::vector<double> values;
  for (const Run* run : group.counted())
    if (const auto value = run->number(number)) values.push_back(*value);
  return statistic(values);
}

std::string mean_text(const Statistic& s, double factor, int digits) {
  if (s.count == 0) return {};
  const std::string mean = fixed(factor * s.mean, digits);
  return s.count > 1 ? concat(mean, " ± ", fixed(factor * s.deviation, digits)) : mean;
}

std::string Quantity::text(double value) const {
  return unit.empty() ? significant(value) : concat(number(factor * value, 2), ' ', unit);
}

Quantity quantity(const std::string& name) {
  return name == "accuracy" ? Quantity{name, 100.0, "%"} : Quantity{name};
}

std::vector<Quantity> metrics(const std::vector<Group>& groups) {
  const CsvTable& rounds = groups[0].runs[0].rounds;
  std::vector<Quantity> found;
  const bool has_accuracy = std::any_of(groups.begin(), groups.end(), [](const Group& group) {
    return group.runs[0].number("final_test_accuracy").has_value();
  });
  for (const std::string& column : rounds.columns)
    if (column.starts_with("test_") && column != "test_loss" && (column != "test_accuracy" || has_accuracy))
      found.push_back(quantity(column.substr(5)));
  return found;
}

std::string final_number(const Quantity& metric) { return "final_test_" + metric.name; }

std::vector<const Group*> best_groups(const std::vector<Group>& groups) {
  std::vector<const Group*> chosen;
  for (const Group& group : groups) chosen.push_back(&group);
  if (chosen.size() <= styles) return chosen;
  const auto badness = [](const Group* group) {
    for (const char* accuracy : {"final_validation_accuracy", "final_test_accuracy"})
      if (const Statistic s = over(*group, accuracy); s.count > 0) return -s.mean;
    const Statistic loss = over(*group, "final_test_loss");
    return loss.count > 0 ? loss.mean : static_cast<double>(INFINITY);
  };
  auto ranked = chosen;
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](const Group* a, const Group* b) { return badness(a) < badness(b); });
  ranked.resize(styles);
  std::erase_if(chosen, [&](const Group* group) {
    return std::find(ranked.begin(), ranked.end(), group) == ranked.end();
  });
  return chosen;
}

std::string left_out_note(const std::vector<Group>& groups) {
  if (groups.size() <= styles) return {};
  return concat("The ", styles, " best of ", groups.size(), " configurations; the table has all. ");
}

}  // namespace federate::report
