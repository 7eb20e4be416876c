#pragma once
// Every source of loru::compiled includes this header first.

#ifndef LORU_COMPILED
#ifdef LORU_INLINE
#error "loru/compiled: define LORU_COMPILED for all files, or include this before every other header of loru"
#endif
#define LORU_COMPILED
#endif
