// config.json.

#include <loru/io/pretrained/configuration.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  const auto c = loru::io::configuration_of(loru::io::parse_json(fuzz::text(bytes), "fuzz"), "fuzz");
  if (c.layers < 100) loru::io::tensor_shapes(c);
}
