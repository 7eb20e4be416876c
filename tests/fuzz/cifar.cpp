// Files of CIFAR's records, with one label and with two.

#include <loru/data/cifar.hpp>
#include <loru/data/readers_bodies.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const loru::Index labels = bytes.size() % 2 == 0 ? 2 : 1, classes = labels == 2 ? 100 : 10;
  loru::data::Dataset set{"fuzz", {3, 32, 32}, classes, std::vector<std::uint8_t>{}, {}, {}, {}};
  loru::data::detail::append_cifar(set, {"fuzz", labels, classes, {}},
                                   {"fuzz", {first, first + bytes.size()}});
  set.check();
}
