// Configurations of the program. A configuration that is read is written and read again. ASCII alone: for
// some letters outside of strings toml++ 3.3 reaches code that it declares unreachable
// (is_non_ascii_horizontal_whitespace).

#include <sys/mman.h>
#include <unistd.h>

#include "target.hpp"

// The sources themselves: one parse of their headers in place of four.
#include "../../examples/federate/configuration.cpp"
#include "../../examples/federate/key.cpp"
#include "../../examples/federate/value.cpp"

namespace {

/// A file in memory.
class File {
 public:
  explicit File(std::string_view text) : descriptor_{::memfd_create("fuzz", 0)} {
    if (::write(descriptor_, text.data(), text.size()) < 0) std::abort();
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace

LORU_FUZZ(bytes) {
  for (const std::byte b : bytes)
    if (std::to_integer<int>(b) >= 0x80) return;
  const federate::Configuration c = federate::read_configuration(File(fuzz::text(bytes)).path(), {});
  const std::string text = federate::to_toml(c);
  if (federate::to_toml(federate::read_configuration(File(text).path(), {})) != text) std::abort();
}
