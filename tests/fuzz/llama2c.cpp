// llama2.c's checkpoints.

#include <loru/io/pretrained/weights.hpp>

#include "target.hpp"

LORU_FUZZ(bytes) { loru::io::read_llama2c(fuzz::copy(bytes), "fuzz"); }
