#include <loru/io/file.hpp>

#include <algorithm>
#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

/// An empty folder that goes with the test.
struct Folder {
  fs::path path;
  explicit Folder(const char* name) : path{fs::temp_directory_path() / name} {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator{path}, fs::directory_iterator{});
  }
};

}  // namespace

TEST_CASE("file: what is written is read") {
  const Folder folder{"loru-test-file"};
  const auto path = folder.path / "data.bin";
  for (std::size_t size : std::vector<std::size_t>{0, 1, 1000, 3'000'000}) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7);
    io::write_file(path, bytes);
    CHECK(io::read_file(path) == bytes);
  }
  io::write_file(path, "text");
  CHECK(io::read_text(path) == "text");
  const std::string a = "one ", b = "two";
  const std::vector<std::span<const std::byte>> pieces{std::as_bytes(std::span{a}),
                                                       std::as_bytes(std::span{b})};
  io::write_file(path, pieces);
  CHECK(io::read_text(path) == "one two");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: a file without a folder in its name") {
  const Folder folder{"loru-test-file-relative"};
  const auto before = fs::current_path();
  fs::current_path(folder.path);
  io::write_file("plain.txt", "x");
  fs::current_path(before);
  CHECK(io::read_text(folder.path / "plain.txt") == "x");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: the longest name a folder can hold") {
  const Folder folder{"loru-test-file-name"};
  io::write_file(folder.path / std::string(255, 'n'), "x");
  CHECK(folder.entries() == 1);
  CHECK_THROWS_WITH(io::write_file(folder.path / std::string(256, 'n'), "x"),
                    ContainsSubstring("File name too long"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: failures name path and reason and leave nothing behind") {
  const Folder folder{"loru-test-file-failures"};
  const auto plain = folder.path / "plain";
  io::write_file(plain, "old");
  const auto below = plain / "file";
  CHECK_THROWS_AS(io::write_file(below, "x"), IoError);
  CHECK_THROWS_WITH(io::write_file(below, "x"), below.native() + ": cannot write: Not a directory");
  CHECK_THROWS_WITH(io::write_file(folder.path / "no" / "file", "x"),
                    ContainsSubstring("No such file or directory"));
  CHECK_THROWS_WITH(io::write_file(folder.path, "x"), ContainsSubstring("expected a regular file"));
  CHECK_THROWS_WITH(io::write_file("/dev/null", "x"), ContainsSubstring("expected a regular file"));
  CHECK_THROWS_AS(io::write_file("/proc/loru", "x"), IoError);
  CHECK_THROWS_AS(io::write_file("", "x"), IoError);
  CHECK_THROWS_WITH(io::read_file(folder.path / "absent"),
                    ContainsSubstring("absent: cannot open for reading: No such"));
  CHECK_THROWS_WITH(io::read_file(folder.path), ContainsSubstring("Is a directory"));
  CHECK_THROWS_WITH(io::make_directories(below), ContainsSubstring("Not a directory"));
  CHECK_THROWS_WITH(io::make_directories(plain), ContainsSubstring("cannot create the folder"));
  CHECK(io::read_text(plain) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: a write that fails half-way keeps the old file") {
  const Folder folder{"loru-test-file-half"};
  const auto path = folder.path / "model";
  io::write_file(path, "old");
  const std::string begin = "new ";
  // The second piece lies at an address that is not ours: write(2) fails with EFAULT after the first was
  // written.
  const std::span<const std::byte> unreadable{reinterpret_cast<const std::byte*>(std::uintptr_t{8}), 100};
  const std::vector<std::span<const std::byte>> pieces{std::as_bytes(std::span{begin}), unreadable};
  CHECK_THROWS_WITH(io::write_file(path, pieces), path.native() + ": cannot write: Bad address");
  CHECK(io::read_text(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: readers see whole files while writers replace them") {
  const Folder folder{"loru-test-file-race"};
  const auto path = folder.path / "model";
  io::write_file(path, std::string(100'000, 'a'));
  {
    const auto writer = [&](std::size_t size, char letter) {
      return std::async(std::launch::async, [&path, size, letter] {
        for (int i = 0; i < 30; ++i) io::write_file(path, std::string(size, letter));
      });
    };
    const auto a = writer(100'000, 'a'), b = writer(50'000, 'b');  // their destructors wait
    for (int i = 0; i < 100; ++i) {
      const std::string text = io::read_text(path);
      const bool whole = text == std::string(100'000, 'a') || text == std::string(50'000, 'b');
      REQUIRE(whole);
    }
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("file: files that do not tell their size are read to the end") {
  CHECK(io::read_text("/proc/self/status").size() > 100);
}

TEST_CASE("file: folders are created with those above, once") {
  const Folder folder{"loru-test-file-folders"};
  io::make_directories(folder.path / "a" / "b" / "c");
  io::make_directories(folder.path / "a" / "b" / "c");
  CHECK(fs::is_directory(folder.path / "a" / "b" / "c"));
}
