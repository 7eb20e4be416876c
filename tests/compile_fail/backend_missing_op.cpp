// expect: required expression .(loru::\w+::)?conv2d\(x, w, o\). is invalid|because .conv2d\(x, w, o\). would
// be invalid A device whose author misspelt one op: the error names it.
#include <loru/ops/backend.hpp>
#define conv2d convolution2d
#include "../support/other_device.hpp"
