#pragma once
// Data sets, their files, batches and partitions; for one source of a program.

#include <loru/compiled/begin.hpp>

#include <loru/data/arrays_bodies.hpp>
#include <loru/data/batch.hpp>
#include <loru/data/dataset_bodies.hpp>
#include <loru/data/file_bodies.hpp>
#include <loru/data/idx_bodies.hpp>
#include <loru/data/load_bodies.hpp>
#include <loru/data/locate_bodies.hpp>
#include <loru/data/partition/common_bodies.hpp>
#include <loru/data/partition/kinds_bodies.hpp>
#include <loru/data/partition/partition_bodies.hpp>
#include <loru/data/partition/virtual_clients_bodies.hpp>
#include <loru/data/readers_bodies.hpp>
#include <loru/data/select_bodies.hpp>
#include <loru/data/synthetic_bodies.hpp>
#include <loru/data/text/load_bodies.hpp>
#include <loru/data/text/sequences_bodies.hpp>
#include <loru/data/text/sets_bodies.hpp>
#include <loru/data/tokenizers/added_tokens_bodies.hpp>
#include <loru/data/tokenizers/byte_pairs_bodies.hpp>
#include <loru/data/tokenizers/characters_bodies.hpp>
#include <loru/data/tokenizers/load_tokenizer_bodies.hpp>
#include <loru/data/tokenizers/sentence_piece_bodies.hpp>
#include <loru/data/tokenizers/word_piece_bodies.hpp>

namespace loru::inline LORU_ISA::data {

LORU_COMPILED_GATHER(template)

}  // namespace loru::inline LORU_ISA::data
