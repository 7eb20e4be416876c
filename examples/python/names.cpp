#include "names.hpp"

#include <algorithm>

#include <loru/data/partition/partition.hpp>

#include "key.hpp"

namespace loru_python {

namespace data = loru::data;
using loru::ConfigError, loru::DataError, loru::require;

namespace {

/// Partitions hold a list for each class, up to the largest.
constexpr std::int64_t most_classes = 10'000'000;

}  // namespace

std::vector<KeyText> keys() {
  federate::Configuration c;
  std::vector<KeyText> all;
  const federate::Keys known = federate::keys_of(c);
  for (const federate::Key& key : known.common) all.emplace_back(key.name, key.values.text, key.text, "");
  for (const auto& [algorithm, own] : known.own)
    for (const federate::Key& key : own) all.emplace_back(key.name, key.values.text, key.text, algorithm);
  return all;
}

std::vector<py::array> partition(const std::string& toml, const std::vector<std::int64_t>& labels,
                                 const std::optional<std::vector<std::int32_t>>& groups) {
  std::vector<std::vector<Index>> lists;
  {
    const py::gil_scoped_release release;
    federate::Configuration c = federate::read_configuration_text(toml, {});
    data::Dataset dataset{.name = "labels", .sample = {1}};
    data::Labels classes;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      require<DataError>(labels[i] >= 0 && labels[i] < most_classes, "labels: sample ", i,
                         ": expected a class in 0 .. ", most_classes - 1, ", got ", labels[i]);
      classes.push_back(static_cast<std::int32_t>(labels[i]));
      dataset.classes = std::max<Index>(dataset.classes, labels[i] + 1);
    }
    dataset.targets = std::move(classes);
    if (groups) dataset.groups = *groups;
    require<DataError>(!groups || groups->size() == labels.size(), "groups: expected ", labels.size(),
                       ", one a sample, got ", groups ? groups->size() : 0);
    c.partition.clients = c.clients.value_or(c.partition.clients);
    c.partition.seed = static_cast<std::uint64_t>(c.seed);
    const data::Partition parts = data::partition(dataset, c.partition);
    for (Index k = 0; k < parts.clients(); ++k) lists.push_back(parts.samples(k));
  }
  std::vector<py::array> arrays;
  for (const auto& list : lists)
    arrays.push_back(py::array_t<std::int64_t>(static_cast<py::ssize_t>(list.size()), list.data()));
  return arrays;
}

}  // namespace loru_python
