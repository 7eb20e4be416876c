// expect: required expression .(loru::\w+::)?fill\(y, v\). is invalid|because .fill\(y, v\). would be invalid
// A tag with memory but no ops is not a device that variables can be on: the error names Backend and its ops.
#include <loru/autograd/variable.hpp>

namespace elsewhere {

struct Bare {
  static constexpr const char* name = "bare";
  static loru::Buffer allocate(std::size_t bytes) { return loru::memory::allocate_host(bytes); }
};

}  // namespace elsewhere

loru::Variable<float, elsewhere::Bare> x;
