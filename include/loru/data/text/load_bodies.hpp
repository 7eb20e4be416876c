#pragma once
// Bodies of load.hpp.

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include <loru/core/text.hpp>
#include <loru/data/text/load.hpp>
#include <loru/data/text/sequences_bodies.hpp>
#include <loru/data/text/sets.hpp>
#include <loru/data/tokenizers/characters.hpp>
#include <loru/data/tokenizers/load_tokenizer.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

struct PublishedModel {
  const char* name;
  const char* weights;    // its file
  const char* tokenizer;  // the tokenizer's file
  bool folder;            // whether the weights are named by their folder
  const char* get;
};

inline constexpr PublishedModel published_models[] = {
    {"minilm", "model.safetensors", "tokenizer.json", true, "`./dev data minilm`"},
    {"smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf", false,
     "`./dev data smollm2`"},
    {"stories260k", "stories260K.bin", "tok512.bin", false, "llama2.c's page: karpathy/tinyllamas"}};

inline std::optional<PublishedModel> published_model(const Path& path) {
  if (std::filesystem::exists(path)) return std::nullopt;
  const auto found =
      std::ranges::find_if(published_models, [&](const PublishedModel& m) { return path == Path(m.name); });
  if (found == std::end(published_models)) return std::nullopt;
  return *found;
}

inline Split split_of(const CorpusSplit& corpus, const Tokenizer& tokenizer, const TextOptions& options) {
  Split split{sequences(corpus.train, tokenizer, options), sequences(corpus.test, tokenizer, options)};
  if (!corpus.validation.texts.empty()) split.validation = sequences(corpus.validation, tokenizer, options);
  return split;
}

/// The characters of texts in their template.
inline Tokenizer characters_of(const Corpus& corpus, const TextOptions& options) {
  std::string all;
  for (const std::string& text : corpus.texts) all += filled(options.pattern, text);
  return Characters{all};
}

}  // namespace detail

LORU_INLINE Path locate_model(const Path& path, std::span<const Path> also) {
  const auto model = detail::published_model(path);
  if (!model) return path;
  const FileSet set{model->name, {model->weights}, {}, {}, model->get, false};
  const Folder folder = locate(set, {}, also);
  return model->folder ? folder.path : folder.path / model->weights;
}

LORU_INLINE Path locate_tokenizer(const Path& path, std::span<const Path> also) {
  const auto model = detail::published_model(path);
  if (!model) return path;
  const FileSet set{model->name, {model->tokenizer}, {}, {}, model->get, false};
  return locate(set, {}, also).path / model->tokenizer;
}

LORU_INLINE std::vector<std::string> text_names() { return {"sst2", "banking77", "shakespeare", "text"}; }

LORU_INLINE CorpusSplit load_corpus(const Source& source) {
  if (source.name == "sst2") return sst2_texts(source.dir, source.also);
  if (source.name == "banking77") return banking77_texts(source.dir, source.also);
  if (source.name == "shakespeare") return shakespeare_texts(source.text, source.dir, source.also);
  require<ConfigError>(source.name == "text",
                       "data: name: expected sst2, banking77, shakespeare or text, got \"", source.name, '"');
  return own_texts(source.arrays, source.text.target, source.dir);
}

LORU_INLINE Tokenizer tokenizer_of(const Source& source) {
  if (source.text.tokenizer.empty()) return detail::characters_of(load_corpus(source).train, source.text);
  return load_tokenizer(locate_tokenizer(source.text.tokenizer, source.also));
}

LORU_INLINE TextSplit load_texts(const Source& source) {
  check_fields(source.text, "text");
  const CorpusSplit corpus = load_corpus(source);
  const Tokenizer tokenizer =
      source.text.tokenizer.empty() ? detail::characters_of(corpus.train, source.text) : tokenizer_of(source);
  return {detail::split_of(corpus, tokenizer, source.text), tokenizer};
}

LORU_INLINE Split detail::load_sequences(const Source& source) { return load_texts(source).split; }

}  // namespace loru::inline LORU_ISA::data
