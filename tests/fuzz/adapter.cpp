// Adapters in PEFT's format: a configuration beside good tensors, or tensors beside a good configuration.

#include <loru/io/pretrained/adapter.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) {
  static const std::string folder = LORU_SOURCE_DIR "/tests/golden/peft/bert/";
  static const loru::io::Json configuration = loru::io::load_json(folder + "adapter_config.json");
  static const loru::io::Archive tensors = loru::io::load(folder + "adapter_model.safetensors");
  const bool json = fuzz::text(bytes).starts_with('{');
  const loru::io::Adapter adapter =
      json ? loru::io::adapter_of(tensors, loru::io::parse_json(fuzz::text(bytes), "fuzz"), "fuzz")
           : loru::io::adapter_of(loru::io::parse(bytes, "fuzz"), configuration, "fuzz");
  loru::io::serialise(loru::io::to_archive<float>(adapter));
}
