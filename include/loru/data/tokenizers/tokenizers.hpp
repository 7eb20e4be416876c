#pragma once
// Tokenizers: texts as ids and back.

#include <loru/data/tokenizers/added_tokens.hpp>
#include <loru/data/tokenizers/byte_pairs.hpp>
#include <loru/data/tokenizers/characters.hpp>
#include <loru/data/tokenizers/load_tokenizer.hpp>
#include <loru/data/tokenizers/sentence_piece.hpp>
#include <loru/data/tokenizers/tokenizer.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>
#include <loru/data/tokenizers/word_piece.hpp>

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/added_tokens_bodies.hpp>
#include <loru/data/tokenizers/byte_pairs_bodies.hpp>
#include <loru/data/tokenizers/characters_bodies.hpp>
#include <loru/data/tokenizers/load_tokenizer_bodies.hpp>
#include <loru/data/tokenizers/sentence_piece_bodies.hpp>
#include <loru/data/tokenizers/word_piece_bodies.hpp>
#endif
