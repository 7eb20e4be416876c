// What double.hpp declares. Without LORU_COMPILED every test has its own.
#include "double.hpp"

#ifdef LORU_COMPILED
LORU_COMPILED_TRAINING(template, double)
LORU_COMPILED_FEDERATION(template, double)
#endif
