#pragma once
// Small files of the formats that the data room reads, written into a folder that goes with the test.

#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace loru_test {

using Bytes = std::vector<std::uint8_t>;

/// An empty folder of this process alone; the working directory for as long as it lives.
class Folder {
 public:
  Folder() : before_{std::filesystem::current_path()} {
    path = std::filesystem::temp_directory_path() / ("loru-data-" + std::to_string(getpid()));
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    std::filesystem::current_path(path);
  }
  ~Folder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(path);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path write(const std::string& name, const Bytes& bytes) const {
    const std::filesystem::path file = path / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream out{file, std::ios::binary};
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(out.good());
    return file;
  }

  std::filesystem::path path;

 private:
  std::filesystem::path before_;
};

/// An environment variable with a value of the test's own, or none.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_{name} {
    if (const char* old = std::getenv(name)) before_ = old;
    value ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Variable() { before_ ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

inline Bytes text(const std::string& characters) { return {characters.begin(), characters.end()}; }

inline Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Magic, extents and raw bytes of values.
inline Bytes idx(std::uint8_t type, const std::vector<std::uint32_t>& extents, const Bytes& values) {
  Bytes out{0, 0, type, static_cast<std::uint8_t>(extents.size())};
  for (std::uint32_t extent : extents)
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(extent >> shift));
  return joined(out, values);
}

/// `count` bytes 0, 1, 2, ... (mod `period`).
inline Bytes counting(std::size_t count, std::size_t period = 256) {
  Bytes out(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<std::uint8_t>(i % period);
  return out;
}

/// One gzip member.
inline Bytes gzip(Bytes bytes) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(deflateBound(&stream, static_cast<uLong>(bytes.size())) + 32);
  stream.next_in = bytes.data();
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// Four IDX files like MNIST's: `train` and `test` images of 3x2 pixels.
inline void write_mnist(const Folder& folder, const std::string& prefix, std::uint32_t train,
                        std::uint32_t test) {
  folder.write(prefix + "train-images-idx3-ubyte", idx(0x08, {train, 3, 2}, counting(train * 6)));
  folder.write(prefix + "train-labels-idx1-ubyte", idx(0x08, {train}, counting(train, 10)));
  folder.write(prefix + "t10k-images-idx3-ubyte.gz", gzip(idx(0x08, {test, 3, 2}, counting(test * 6))));
  folder.write(prefix + "t10k-labels-idx1-ubyte", idx(0x08, {test}, counting(test, 10)));
}

}  // namespace loru_test
