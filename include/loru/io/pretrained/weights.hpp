#pragma once
// Published weights under Hugging Face's names, whatever file they come from.

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/blocks.hpp>
#include <loru/core/compiled.hpp>
#include <loru/io/archive.hpp>
#include <loru/io/gguf.hpp>
#include <loru/io/pretrained/configuration.hpp>

namespace loru::inline LORU_ISA::io {

/// A transformer's configuration and all of its tensors. Names, shapes and numbers are Hugging Face's: rows
/// of q_proj and k_proj come in halves of a head, also from files that interleave them.
struct Pretrained {
  TransformerConfiguration configuration;
  Archive tensors;                                              // F32
  std::map<std::string, BlockTensor, std::less<>> blocks = {};  // matrices that stay in the file's form
  Archive classifier = {};                                      // of a BERT, if it has one: classifier.*, F32
};

/// Where rows of `heads` heads of a matrix come from in files with interleaved rotary positions, which have
/// the two halves of a head in turn: row h·w + b·w/2 + j of Hugging Face is row h·w + 2j + b of theirs.
inline Index interleaved_row(Index row, Index rows, Index heads) {
  const Index width = rows / heads, within = row % width;
  return row - within + 2 * (within % (width / 2)) + within / (width / 2);
}

struct PretrainedOptions {
  bool keep_quantised = false;  // matrices of a GGUF file that are not F32 stay as they are in the file
};

/// The weights of a GGUF file of architecture "llama". Throws DataError naming file and tensor for a missing
/// or further tensor and for a wrong shape.
LORU_INLINE Pretrained pretrained_of(const Gguf& file, const PretrainedOptions& options = {});

/// llama2.c's checkpoint: seven i32 (width, feed-forward width, layers, heads, key and value heads,
/// vocabulary, below 0 if the head is not tied, positions), then all weights as F32. Throws DataError.
LORU_INLINE Pretrained read_llama2c(std::vector<std::byte>&& bytes, std::string_view origin);

/// The weights of `model.safetensors` for a configuration; F16 and BF16 become F32. A BERT's head for masked
/// words (cls.) and lm_head where it is tied are left out. Throws DataError as above.
LORU_INLINE Pretrained pretrained_of(const Archive& archive, const TransformerConfiguration& configuration);

/// The configuration alone of what load_pretrained reads. Throws IoError and DataError.
LORU_INLINE TransformerConfiguration load_configuration(const std::filesystem::path& path);

/// X.gguf, X.bin of llama2.c, or a folder with config.json and model.safetensors, or its shards and
/// model.safetensors.index.json. Throws IoError and DataError.
LORU_INLINE Pretrained load_pretrained(const std::filesystem::path& path,
                                       const PretrainedOptions& options = {});

}  // namespace loru::inline LORU_ISA::io

#ifndef LORU_COMPILED
#include <loru/io/pretrained/weights_bodies.hpp>
#endif
