#pragma once
// Tokenizers from files.

#include <string_view>

#include <loru/core/compiled.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/tokenizers/tokenizer.hpp>
#include <loru/io/gguf.hpp>
#include <loru/io/json.hpp>

namespace loru::inline LORU_ISA::data {

/// A `tokenizer.json` of the package `tokenizers`: WordPiece with BERT's normaliser and splitter, or BPE with
/// the byte-level splitter, alone or after single digits. Truncation and padding of the file are left out.
/// Throws DataError naming the member for anything else, so that no text is cut otherwise than its model saw
/// it.
LORU_INLINE Tokenizer tokenizer_of(const io::Json& document, std::string_view origin);

/// The tokenizer in a GGUF file's metadata: "gpt2" (splitters "gpt-2" and "smollm") or "llama". Throws
/// DataError.
LORU_INLINE Tokenizer tokenizer_of(const io::Gguf& file);

/// llama2.c's `tokenizer.bin`: u32 longest token; then for each token f32 score, i32 length, bytes. Ids 0, 1,
/// 2 are unknown, begin and end. Throws DataError.
LORU_INLINE Tokenizer read_llama2c_tokenizer(std::span<const std::byte> bytes, std::string_view origin);

/// A tokenizer by the name of its file: X.json, X.gguf, X.bin, or a folder with tokenizer.json. Throws
/// IoError, and DataError with the path and what was expected.
LORU_INLINE Tokenizer load_tokenizer(const Path& path);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/load_tokenizer_bodies.hpp>
#endif
