// Adapters in PEFT's format: a configuration beside good tensors, or tensors beside a good configuration.
// What is read goes into a model.

#include <loru/nn/models/bert.hpp>
#include <loru/train/adapter_file.hpp>

#include "target.hpp"

namespace {

using namespace loru;

/// The model that the seeds are for.
nn::Model<float> bert(const io::Archive& file) {
  const auto extent = [&](const char* key) { return std::stol(file.metadata().find(key)->second); };
  return nn::bert<float>({.vocabulary = extent("vocabulary"),
                          .positions = extent("positions"),
                          .width = extent("width"),
                          .layers = extent("layers"),
                          .heads = extent("heads"),
                          .feed_forward = extent("feed_forward"),
                          .classes = extent("classes")});
}

}  // namespace

LORU_FUZZ(bytes) {
  static const std::string folder = LORU_SOURCE_DIR "/tests/golden/peft/bert/";
  static const io::Json configuration = io::load_json(folder + "adapter_config.json");
  static const io::Archive tensors = io::load(folder + "adapter_model.safetensors");
  static const nn::Model<float> base = bert(io::load(folder + "model.safetensors"));
  const bool json = fuzz::text(bytes).starts_with('{');
  const io::Adapter adapter = json
                                  ? io::adapter_of(tensors, io::parse_json(fuzz::text(bytes), "fuzz"), "fuzz")
                                  : io::adapter_of(io::parse(bytes, "fuzz"), configuration, "fuzz");
  io::serialise(io::to_archive<float>(adapter));
  nn::Model<float> model = base;
  io::add_adapter(model, adapter);
  io::serialise(io::to_archive<float>(io::to_adapter<float>(model)));
}
