// The main function of every test program, for Catch2 2.13 and 3.
//
//   test_room --write-ctest FILE ROOM   writes FILE, which tells ctest of each test case
//   test_room [Catch2's own arguments]  exits 0 passed, 1 failed, 77 skipped
#define CATCH_CONFIG_RUNNER
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_config.hpp>
#include <catch2/catch_session.hpp>
#include <catch2/catch_test_case_info.hpp>
#include <catch2/internal/catch_test_case_registry_impl.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

#include "support/skip.hpp"

/// Asked for by AddressSanitizer alone: its reports name lines of the sources without llvm-symbolizer too.
extern "C" const char* __asan_default_options() { return "allow_addr2line=1"; }

namespace {

constexpr int skipped_exit_code = 77;

/// A test's name as Catch2's command line takes it literally.
std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (std::string_view("\\,[]\"*~").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

/// A CMake bracket argument: nothing in it is special.
std::string bracket(const std::string& text) { return "[====[" + text + "]====]"; }

/// Catch2 3 hands out handles, 2 the cases themselves.
template <class Test>
const Catch::TestCaseInfo& info(const Test& test) {
  if constexpr (requires { test.getTestCaseInfo(); })
    return test.getTestCaseInfo();
  else
    return test;
}

int write_ctest(Catch::Session& session, const std::string& program, const std::string& path,
                const std::string& room) {
  std::ofstream file(path);
  for (const auto& test : Catch::getAllTestCasesSorted(session.config())) {
    const std::string name = info(test).name;
    const std::string tags = info(test).tagsAsString();
    if (tags.find("[.") != std::string::npos || tags.find("[!hide]") != std::string::npos) continue;
    const std::string title = bracket(room + ": " + name);
    file << "add_test(" << title << ' ' << bracket(program) << ' ' << bracket(escaped(name)) << ")\n"
         << "set_tests_properties(" << title << " PROPERTIES SKIP_RETURN_CODE " << skipped_exit_code
         << " ${loru_test_properties}";
    const bool slow = tags.find("[slow]") != std::string::npos;
    const std::string label = room == "cuda" || room == "gpu" ? room : "";
    if (slow || !label.empty())
      file << " LABELS \"" << (slow ? "slow" : "") << (slow && !label.empty() ? ";" : "") << label << '"';
    if (slow) file << " COST 50";  // ctest begins with what takes longest
    if (tags.find("[serial]") != std::string::npos) file << " RUN_SERIAL ON";
    file << ")\n";
  }
  file.close();
  return file ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Catch::Session session;
  if (argc == 4 && std::string_view(argv[1]) == "--write-ctest")
    return write_ctest(session, argv[0], argv[2], argv[3]);

  if (const int wrong = session.applyCommandLine(argc, argv); wrong != 0) return wrong;
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]).starts_with("--list")) return session.run(), 0;
  const char* const missing = loru_test::missing ? loru_test::missing() : nullptr;
  if (missing)
    loru_test::skip(missing);
  else if (session.run() != 0)
    return 1;
  return loru_test::skipped() ? skipped_exit_code : 0;
}
