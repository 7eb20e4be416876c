// Tests run on the device that gives a block the least, unless they name another one.
#include "cuda/support/on_device.hpp"

namespace {

[[maybe_unused]] const bool known = (new loru_test::OnDevice(std::size_t{99} << 10), true);

}  // namespace
