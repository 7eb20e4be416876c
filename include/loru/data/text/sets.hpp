#pragma once
// Texts from their files.

#include <span>

#include <loru/core/compiled.hpp>
#include <loru/data/arrays.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/text/corpus.hpp>
#include <loru/data/text/options.hpp>

namespace loru::inline LORU_ISA::data {

/// SST-2, the sentences of film reviews of Socher et al. 2013 with a positive or negative sentiment: 6,920 to
/// train, 872 to validate and 1,821 to test, as stsa.binary.{train,dev,test}. A line is `0 text` or `1 text`.
LORU_INLINE CorpusSplit sst2_texts(const Path& dir = {}, std::span<const Path> also = {});

/// Banking77 (Casanueva et al. 2020): 10,003 and 3,080 questions to a bank in 77 intents, train.csv and
/// test.csv with the columns text and category. Classes are the categories in the order of their names.
LORU_INLINE CorpusSplit banking77_texts(const Path& dir = {}, std::span<const Path> also = {});

/// Tiny Shakespeare (Karpathy 2015): the speeches of each speaker are one text, and a speaker is a client. Of
/// those who say at least options.characters bytes, options.speakers are drawn by the seed to train on, and
/// the beginning of each other's text, that many bytes, is tested on. With 0 speakers all train, and the last
/// fifth of each text is tested on. Throws ConfigError if there are not enough speakers.
LORU_INLINE CorpusSplit shakespeare_texts(const TextOptions& options, const Path& dir = {},
                                          std::span<const Path> also = {});

/// One's own texts, files.train and files.test relative to `dir`. With target next a file is one text and a
/// folder one of each of its files in the order of their names, each a client; without a test file the last
/// tenth of each text is tested on. With target label a line is a class from 0, a blank and a text. Throws
/// IoError, DataError.
LORU_INLINE CorpusSplit own_texts(const ArrayFiles& files, TextTarget target, const Path& dir = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/text/sets_bodies.hpp>
#endif
