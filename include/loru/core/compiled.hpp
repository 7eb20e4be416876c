#pragma once
// With LORU_COMPILED defined, headers only declare what a program compiles once: in the target
// loru::compiled, or in one source of its own that includes loru/compiled/src.hpp. Without it everything is
// defined where it is used.
//
// A header with much to compile keeps its function bodies in a file of its own, x_bodies.hpp for x.hpp, or in
// one that it shares with others, such as data/readers_bodies.hpp. Without LORU_COMPILED the header includes
// that file; with it, only the compiled source does. Scalars other than float, double and their duals always
// need the bodies.

#include <string_view>

#include <loru/core/isa.hpp>

#ifdef LORU_COMPILED
#define LORU_INLINE  // defined once, in the compiled source
#else
#define LORU_INLINE inline
#endif

#define LORU_TEXT_OF(name) #name
#define LORU_TEXT(name) LORU_TEXT_OF(name)

#ifdef LORU_COMPILED_ISA
static_assert(
    std::string_view(LORU_TEXT(LORU_ISA)) == LORU_TEXT(LORU_COMPILED_ISA),
    "this file is compiled for another instruction set than loru::compiled (LORU_COMPILED_ISA): use the same "
    "-m flags, or link loru::loru, which is headers alone");
#endif
