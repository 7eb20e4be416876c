// Data files that are missing or wrong: exit 2, one line, no file left behind.

#include "federate/program.hpp"

using namespace loru_test;

namespace {

std::string word32(std::uint32_t value) {
  std::string bytes;
  for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>((value >> shift) & 255u);
  return bytes;
}

/// An IDX file of bytes.
std::string idx(const std::vector<std::uint32_t>& shape, const std::string& values) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (std::uint32_t extent : shape) bytes += word32(extent);
  return bytes + values;
}

std::string images(std::uint32_t count) { return idx({count, 4, 4}, std::string(count * 16, '\x40')); }

std::string labels(std::uint32_t count, int classes = 2) {
  std::string values;
  for (std::uint32_t i = 0; i < count; ++i) values += static_cast<char>(static_cast<int>(i) % classes);
  return idx({count}, values);
}

struct Files {
  std::string train_images = images(24), train_labels = labels(24), test_images = images(6),
              test_labels = labels(6);
};

Result run_idx(const Scratch& scratch, const Files& files, const std::string& suffix = "") {
  write(scratch.path / ("train-images-idx3-ubyte" + suffix), files.train_images);
  write(scratch.path / "train-labels-idx1-ubyte", files.train_labels);
  write(scratch.path / "t10k-images-idx3-ubyte", files.test_images);
  write(scratch.path / "t10k-labels-idx1-ubyte", files.test_labels);
  return run_tiny(scratch.path, "out", {"--set", "data.name=idx", "--data-dir", scratch.path.string()});
}

void check_refused(const Result& result, const Scratch& scratch, const std::vector<std::string>& expected) {
  CAPTURE(result.err);
  CHECK(result.code == 2);
  check_one_line(result);
  for (const std::string& text : expected) {
    CAPTURE(text);
    CHECK(result.err.find(text) != std::string::npos);
  }
  CHECK(names_in(scratch.path / "out").empty());
}

}  // namespace

TEST_CASE("a person's own IDX files are trained on") {
  const Scratch scratch;
  const Result result = run_idx(scratch, {});
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(summary(scratch.path / "out")["dataset"] == "idx");
}

TEST_CASE("an IDX file with a wrong magic number is refused") {
  const Scratch scratch;
  Files files;
  files.train_images[2] = '\x77';
  check_refused(run_idx(scratch, files), scratch, {"train-images-idx3-ubyte", "bad magic"});
}

TEST_CASE("a truncated IDX file is refused") {
  const Scratch scratch;
  Files files;
  files.test_images.resize(files.test_images.size() - 5);
  check_refused(run_idx(scratch, files), scratch, {"t10k-images-idx3-ubyte", "byte "});
}

TEST_CASE("an empty IDX file is refused") {
  const Scratch scratch;
  Files files;
  files.train_labels.clear();
  check_refused(run_idx(scratch, files), scratch, {"train-labels-idx1-ubyte"});
}

TEST_CASE("images and labels of different counts are refused") {
  const Scratch scratch;
  Files files;
  files.train_labels = labels(23);
  check_refused(run_idx(scratch, files), scratch,
                {"train-labels-idx1-ubyte", "expected 24 labels", "got 23"});
}

TEST_CASE("a label outside the classes is refused") {
  const Scratch scratch;
  Files files;
  files.test_labels = labels(6, 3);
  check_refused(run_idx(scratch, files), scratch,
                {"t10k-labels-idx1-ubyte", "sample 2", "expected a label in [0, 2)", "got 2"});
}

TEST_CASE("a corrupt gzip file is refused") {
  const Scratch scratch;
  Files files;
  files.train_images =
      std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10) + "this is no deflate stream";
  check_refused(run_idx(scratch, files, ".gz"), scratch, {"train-images-idx3-ubyte.gz"});
}

TEST_CASE("a CIFAR file of the wrong size is refused") {
  const Scratch scratch;
  write(scratch.path / "data_batch_1.bin", std::string(3073 + 100, '\0'));
  write(scratch.path / "test_batch.bin", std::string(3073, '\0'));
  const Result result = run_tiny(
      scratch.path, "out",
      {"--set", "data.name=cifar10", "--set", "data.batches=1", "--data-dir", scratch.path.string()});
  check_refused(result, scratch, {"data_batch_1.bin", "wrong file size", "3073", "3173"});
}

TEST_CASE("a missing data set names the command that gets it") {
  const Scratch scratch;
  for (const char* name : {"mnist", "fashion-mnist", "cifar10", "cifar100", "omniglot", "digits"}) {
    const Result result =
        run_tiny(scratch.path, "out",
                 {"--set", std::string("data.name=") + name, "--data-dir", (scratch.path / "none").string()});
    check_refused(result, scratch, {"data set not found", std::string("`./dev data ") + name + "`"});
  }
}

TEST_CASE("a loss that is not finite ends the run after the last good model is written") {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out", {"--set", "optimizer.learning_rate=1e30"});
  CAPTURE(result.err);
  CHECK(result.code == 1);
  check_one_line(result);
  CHECK(result.err.find("round 1, client ") != std::string::npos);
  CHECK(names_in(scratch.path / "out") == std::vector<std::string>{"clients.csv", "config.toml",
                                                                   "model.safetensors", "rounds.csv",
                                                                   "summary.json"});
  const auto written = summary(scratch.path / "out");
  CHECK(written["rounds"] == 0);
  CHECK(written["final_test_loss"].is_number());
  const Result evaluated = federate(scratch.path, {"eval", (scratch.path / "out").string()});
  CHECK(evaluated.code == 0);
}

TEST_CASE("a saved model that is broken is refused by eval") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out").code == 0);
  const fs::path model = scratch.path / "out" / "model.safetensors";
  fs::resize_file(model, fs::file_size(model) - 4);
  const Result result = federate(scratch.path, {"eval", (scratch.path / "out").string()});
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(result.err.find("model.safetensors") != std::string::npos);
}
