#pragma once
// Data sets of texts by name, and published models where they lie on this machine.

#include <span>
#include <string>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/load.hpp>
#include <loru/data/text/corpus.hpp>
#include <loru/data/tokenizers/tokenizer.hpp>

namespace loru::inline LORU_ISA::data {

/// Names of the data sets of texts: sst2, banking77, shakespeare, text.
LORU_INLINE std::vector<std::string> text_names();

/// The texts of a source. Throws ConfigError for a name that is none of text_names().
LORU_INLINE CorpusSplit load_corpus(const Source& source);

/// The source's tokenizer; without one the characters of its training texts in their template, which are read
/// for that alone.
LORU_INLINE Tokenizer tokenizer_of(const Source& source);

/// The texts as sequences of the source's tokenizer, and the tokenizer.
struct TextSplit {
  Split split;
  Tokenizer tokenizer;
};
LORU_INLINE TextSplit load_texts(const Source& source);

/// Where a published model lies: the path itself if it exists; for minilm the folder with its config.json,
/// for smollm2 its GGUF file, for stories260k its checkpoint, in the folders that locate() searches. Throws
/// DataError, with the command that gets it, if it is not there.
LORU_INLINE Path locate_model(const Path& path, std::span<const Path> also = {});

/// The tokenizer's file of a published model, or the path itself. Throws as locate_model does.
LORU_INLINE Path locate_tokenizer(const Path& path, std::span<const Path> also = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/text/load_bodies.hpp>
#endif
