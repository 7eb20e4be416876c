#pragma once
// Room data: data sets, their files, tokenizers, batches and partitions over clients.

#include <loru/data/arrays.hpp>
#include <loru/data/batch.hpp>
#include <loru/data/cifar.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/digits.hpp>
#include <loru/data/file.hpp>
#include <loru/data/idx.hpp>
#include <loru/data/idx_dataset.hpp>
#include <loru/data/load.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/mnist.hpp>
#include <loru/data/omniglot.hpp>
#include <loru/data/partition/partition.hpp>
#include <loru/data/select.hpp>
#include <loru/data/synthetic.hpp>
#include <loru/data/targets.hpp>
#include <loru/data/text/text.hpp>
#include <loru/data/tokenizers/tokenizers.hpp>
#include <loru/data/transform.hpp>

#ifndef LORU_COMPILED
#include <loru/data/arrays_bodies.hpp>
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
#endif
