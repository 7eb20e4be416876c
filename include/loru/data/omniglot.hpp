#pragma once
// Omniglot: characters of many alphabets, each drawn once by each of twenty people; a client is a writer.

#include <span>

#include <loru/core/compiled.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

/// A small set of Omniglot (Lake, Salakhutdinov and Tenenbaum, Science 2015): 28x28 grey; labels are
/// characters, groups are writers. A character's drawings come in the order of its writers. Taking every
/// fifth drawing for the test would therefore take all drawings of every fifth writer. So the place moves on
/// by one with each character: drawing k of character c is test if (k + c) % 5 == 4. Every writer and every
/// character is then in both halves.
LORU_INLINE Split omniglot(const Path& dir = {}, std::span<const Path> also = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/readers_bodies.hpp>
#endif
