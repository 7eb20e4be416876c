// logits WEIGHTS MODEL.safetensors TOKENS.safetensors OUT.safetensors: what the model of a run on published
// weights says of packed sequences (`tokens`, `starts`), for real_weights.py.

#include <cstdio>
#include <exception>

#include <loru/train/model_file.hpp>
#include <loru/train/published.hpp>

using namespace loru;

namespace {

void write_logits(char** argv) {
  const io::Archive saved = io::load(argv[2]), texts = io::load(argv[3]);
  const Index classes = saved.contains("classifier.bias") ? saved.raw("classifier.bias").shape[0] : 1;
  nn::Model<float> model = train::transformer(io::load_configuration(argv[1]), {.classes = classes});
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
