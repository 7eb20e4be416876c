#pragma once
// Texts: their files, and their way into sequences of tokens.

#include <loru/data/text/corpus.hpp>
#include <loru/data/text/load.hpp>
#include <loru/data/text/options.hpp>
#include <loru/data/text/sequences.hpp>
#include <loru/data/text/sets.hpp>

#ifndef LORU_COMPILED
#include <loru/data/text/load_bodies.hpp>
#include <loru/data/text/sequences_bodies.hpp>
#include <loru/data/text/sets_bodies.hpp>
#endif
