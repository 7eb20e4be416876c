// expect: the required expression .conv2d\(x, x, conv\). is invalid|because 'conv2d\(x, x, conv\)' would be invalid
// A device that lacks one op: the error names it.
#define OTHER_DEVICE_LACKS_CONV2D
#include "../support/other_device.hpp"
