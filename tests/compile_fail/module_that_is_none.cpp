// expect: derived_from
// A Sequential takes modules.
#include <loru/nn/sequential.hpp>

void build(loru::nn::Sequential<float>& s) { s.add("layer", 3); }
