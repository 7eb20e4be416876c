#pragma once
// The 8x8 digits: a real set small enough to come with the library (examples/data/digits.csv.gz).

#include <span>

#include <loru/core/compiled.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/file.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

/// Reads lines of 64 pixels in 0..16 and a label in 0..9. Throws DataError naming path, byte and line.
LORU_INLINE Dataset read_digits(const std::filesystem::path& path);

/// The same from a file's content.
LORU_INLINE Dataset parse_digits(const Content& file);

/// 1,797 handwritten digits, 8x8, 10 classes (Alpaydin and Kaynak, UCI 1998). Every fifth sample (index % 5
/// == 4) is test. Searched as locate says, then in ./examples/data and `also`. Mean and deviation: of the
/// training samples.
LORU_INLINE Split digits(const Path& dir = {}, std::span<const Path> also = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/readers_bodies.hpp>
#endif
