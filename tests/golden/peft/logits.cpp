// logits WEIGHTS MODEL.safetensors TOKENS.safetensors OUT.safetensors: what the model of a run on published
// weights says of packed sequences (`tokens`, `starts`), for real_weights.py.

#include <cstdio>
#include <exception>

#include <loru/io/pretrained/pretrained.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/llama.hpp>
#include <loru/train/model_file.hpp>

using namespace loru;

namespace {

nn::Model<float> build(const io::TransformerConfiguration& c, const io::Archive& saved) {
  if (c.architecture == io::Architecture::bert)
    return nn::bert<float>({.vocabulary = c.vocabulary,
                            .positions = c.positions,
                            .types = c.types,
                            .width = c.width,
                            .layers = c.layers,
                            .heads = c.heads,
                            .feed_forward = c.feed_forward,
                            .classes = saved.raw("classifier.bias").shape[0],
                            .epsilon = c.epsilon});
  return nn::llama<float>({.vocabulary = c.vocabulary,
                           .positions = c.positions,
                           .width = c.width,
                           .layers = c.layers,
                           .heads = c.heads,
                           .groups = c.groups,
                           .feed_forward = c.feed_forward,
                           .theta = c.theta,
                           .epsilon = c.epsilon,
                           .tied = c.tied});
}

void write_logits(char** argv) {
  const io::Archive saved = io::load(argv[2]), texts = io::load(argv[3]);
  nn::Model<float> model = build(io::load_pretrained(argv[1]).configuration, saved);
  io::from_archive(model, saved);
  const auto starts = texts.get<std::int64_t>("starts");
  const nn::Tokens<> tokens(texts.get<std::int32_t>("tokens"),
                            {{starts.data(), starts.data() + starts.size()}});
  io::Archive out(argv[4]);
  out.put("logits", model({}, nn::Pass{.sequences = &tokens}).value());
  io::save(argv[4], out);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 5) write_logits(argv);
    return argc == 5 ? 0 : 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
