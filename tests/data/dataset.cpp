#include <loru/data/dataset.hpp>
#include <loru/data/digits.hpp>
#include <loru/data/omniglot.hpp>
#include <loru/data/select.hpp>
#include <loru/data/synthetic.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

data::Dataset two_samples() {
  return {"toy",  {1, 1, 2},           3, std::vector<std::uint8_t>{1, 2, 3, 4}, data::Labels{0, 2},
          {7, 8}, {1.0, {0.0}, {1.0}}, {}};
}

}  // namespace

TEST_CASE("dataset: check names what does not fit") {
  data::Dataset set = two_samples();
  CHECK_NOTHROW(set.check());
  SECTION("features") {
    set.features = std::vector<float>{1, 2, 3};
    CHECK_THROWS_WITH(set.check(), "toy: expected 4 features for 2 samples of shape (1, 1, 2), got 3");
  }
  SECTION("labels") {
    set.labels()[1] = 3;
    CHECK_THROWS_AS(set.check(), DataError);
    CHECK_THROWS_WITH(set.check(), "toy: sample 1: expected a label in [0, 3), got 3");
    set.labels()[0] = -1;
    CHECK_THROWS_WITH(set.check(), "toy: sample 0: expected a label in [0, 3), got -1");
  }
  SECTION("groups") {
    set.groups.pop_back();
    CHECK_THROWS_WITH(set.check(), "toy: expected 2 groups, one for each sample, got 1");
  }
  SECTION("normalisation") {
    set.normalisation.mean.clear();
    CHECK_THROWS_WITH(set.check(),
                      ContainsSubstring("a mean and a deviation for each of 1 channels, got 0 and 1"));
  }
  SECTION("shape") {
    set.sample = {1, 2};
    CHECK_THROWS_WITH(set.check(), "toy: expected samples of shape (C, H, W) or (n), got (1, 2)");
  }
}

TEST_CASE("dataset: select copies samples with labels and groups") {
  const data::Dataset set = data::select(two_samples(), std::vector<Index>{1, 0, 1});
  CHECK(std::get<std::vector<std::uint8_t>>(set.features) == std::vector<std::uint8_t>{3, 4, 1, 2, 3, 4});
  CHECK(set.labels() == std::vector<std::int32_t>{2, 0, 2});
  CHECK(set.groups == std::vector<std::int32_t>{8, 7, 8});
  CHECK(set.name == "toy");
}

namespace {

/// `samples` of one feature each, whose value, group and target are the number of the sample.
data::Split numbered(Index samples, const data::Targets& targets) {
  data::Dataset set{.name = "numbered", .sample = {1}, .classes = samples, .targets = targets};
  std::vector<float> values;
  for (Index i = 0; i < samples; ++i) {
    values.push_back(static_cast<float>(i));
    set.groups.push_back(static_cast<std::int32_t>(i));
  }
  set.features = values;
  return {set, two_samples()};
}

}  // namespace

TEST_CASE("hold_out: a share of the training samples, each on one side, in their order, by the seed") {
  std::vector<std::int32_t> counting(40);
  std::iota(counting.begin(), counting.end(), 0);
  const data::Split whole = numbered(40, data::Labels(counting));
  const data::Split split = data::hold_out(whole, 0.1, 3);
  CHECK(split.train.size() == 36);
  CHECK(split.validation.size() == 4);
  CHECK(split.test.features == whole.test.features);
  for (const data::Dataset* side : {&split.train, &split.validation}) {
    CHECK_NOTHROW(side->check());
    CHECK(std::is_sorted(side->groups.begin(), side->groups.end()));
    CHECK(side->labels() == side->groups);
    for (std::size_t i = 0; i < side->groups.size(); ++i)
      CHECK(std::get<std::vector<float>>(side->features)[i] == static_cast<float>(side->groups[i]));
  }
  std::vector<std::int32_t> all = split.train.groups;
  all.insert(all.end(), split.validation.groups.begin(), split.validation.groups.end());
  std::sort(all.begin(), all.end());
  CHECK(all == counting);
  CHECK(data::hold_out(whole, 0.1, 3).validation.groups == split.validation.groups);
  CHECK(data::hold_out(whole, 0.1, 4).validation.groups != split.validation.groups);
  CHECK(data::hold_out(whole, 0.0, 3).train.groups == counting);
  CHECK(data::hold_out(whole, 0.0, 3).validation.size() == 0);
}

TEST_CASE("hold_out: numbers, flags and sequences as targets") {
  std::vector<float> numbers(80);
  std::vector<std::uint8_t> flags(80);
  for (std::size_t i = 0; i < 80; ++i) {
    numbers[i] = static_cast<float>(i / 2);
    flags[i] = i / 2 % 2;
  }
  const auto regression = data::hold_out(numbered(40, data::Numbers{2, numbers}), 0.25, 1).validation;
  const auto several = data::hold_out(numbered(40, data::Flags{2, flags}), 0.25, 1).validation;
  REQUIRE(regression.size() == 10);
  REQUIRE(several.size() == 10);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(std::get<data::Numbers>(regression.targets).values[i] ==
          static_cast<float>(regression.groups[i / 2]));
    CHECK(std::get<data::Flags>(several.targets).values[i] == several.groups[i / 2] % 2);
  }

  // Sequence i has i tokens, each of them i.
  data::Dataset set{.name = "words", .classes = 40};
  std::vector<std::int32_t> tokens;
  set.starts.push_back(0);
  for (std::int32_t i = 0; i < 40; ++i) {
    tokens.insert(tokens.end(), static_cast<std::size_t>(i), i);
    set.starts.push_back(static_cast<Index>(tokens.size()));
    set.groups.push_back(i);
  }
  set.features = tokens;
  set.targets = data::TokenLabels{tokens};
  const auto words = data::hold_out({set, {}}, 0.25, 1).validation;
  REQUIRE(words.size() == 10);
  CHECK_NOTHROW(words.check());
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(words.starts[i + 1] - words.starts[i] == words.groups[i]);
    for (Index t = words.starts[i]; t < words.starts[i + 1]; ++t)
      CHECK(std::get<std::vector<std::int32_t>>(words.features)[static_cast<std::size_t>(t)] ==
            words.groups[i]);
  }
}

TEST_CASE("hold_out: a share that leaves no sample on one side is refused") {
  std::vector<std::int32_t> labels(8);
  const data::Split split = numbered(8, data::Labels(labels));
  CHECK(data::hold_out(split, 0.07, 1).validation.size() == 1);
  CHECK_THROWS_AS(data::hold_out(split, 0.06, 1), ConfigError);
  CHECK_THROWS_WITH(
      data::hold_out(split, 0.06, 1),
      "data.validation: expected a share that leaves samples to train on and to validate on, got "
      "0.06, which is 0 of 8");
  CHECK_THROWS_WITH(data::hold_out(split, 0.95, 1), ContainsSubstring("which is 8 of 8"));
  CHECK_THROWS_WITH(data::hold_out(split, 1.0, 1), "data.validation: expected a number in [0, 1), got 1");
  CHECK_THROWS_AS(data::hold_out(split, -0.1, 1), ConfigError);
}

TEST_CASE("digits: the bundled set") {
  const data::Split split = data::digits(data::Path{LORU_SOURCE_DIR} / "examples/data");
  CHECK(split.train.size() == 1438);
  CHECK(split.test.size() == 359);
  CHECK(split.train.sample == Shape{1, 8, 8});
  CHECK(split.test.label(0) == 4);  // the file begins with 0, 1, 2, 3, 4, 5, ...
  CHECK(split.train.label(4) == 5);
  std::set<std::int32_t> digits{split.test.labels().begin(), split.test.labels().end()};
  CHECK(digits.size() == 10);
  const data::Normalisation measured = data::measure(split.train, split.train.normalisation.unit);
  CHECK(measured.mean[0] == Approx(split.train.normalisation.mean[0]).epsilon(1e-3));
  CHECK(measured.deviation[0] == Approx(split.train.normalisation.deviation[0]).epsilon(1e-3));
}

TEST_CASE("digits: bad lines") {
  const loru_test::Folder folder;
  std::string line;
  for (int i = 0; i < 64; ++i) line += "16,";
  const auto read = [&](const std::string& text) {
    data::read_digits(folder.write("f.csv", loru_test::text(text)));
  };
  CHECK_NOTHROW(read(line + "9\r\n" + line + "0"));
  CHECK_THROWS_AS(read(line + "9\n1,2,3\n"), DataError);
  CHECK_THROWS_WITH(read(line + "9\n1,2,3\n"),
                    ContainsSubstring("f.csv: byte 194: line 2: expected 64 pixels in "
                                      "0..16 and a label in 0..9, got \"1,2,3\""));
  CHECK_THROWS_WITH(read(line + "10\n"), ContainsSubstring("line 1"));
  CHECK_THROWS_WITH(read("17," + line.substr(3) + "1\n"), ContainsSubstring("line 1"));
  CHECK_THROWS_WITH(read(line + "x\n"), ContainsSubstring("line 1"));
  CHECK_THROWS_WITH(read(line + "1,\n"), ContainsSubstring("line 1"));
  CHECK_THROWS_WITH(read(line + "99999999999999999999\n"), ContainsSubstring("line 1"));
  CHECK_THROWS_WITH(read("\n"), ContainsSubstring("line 1"));
  CHECK_THROWS_WITH(read(""), ContainsSubstring("byte 0: expected lines of digits, got an empty file"));
}

TEST_CASE("omniglot: every writer and every character is in both halves") {
  const loru_test::Folder folder;
  const std::uint32_t characters = 10, writers = 20, count = characters * writers;
  loru_test::Bytes labels, people;
  for (std::uint32_t i = 0; i < count; ++i) {
    labels.insert(labels.end(), {0, static_cast<std::uint8_t>(i / writers)});
    people.insert(people.end(), {0, static_cast<std::uint8_t>(i % writers)});
  }
  folder.write("images-idx3-ubyte.gz",
               loru_test::gzip(loru_test::idx(0x08, {count, 2, 2}, loru_test::counting(4 * count))));
  folder.write("labels-idx1-short", loru_test::idx(0x0b, {count}, labels));
  folder.write("writers-idx1-short", loru_test::idx(0x0b, {count}, people));
  const data::Split split = data::omniglot(folder.path);
  CHECK(split.train.size() == 160);
  CHECK(split.test.size() == 40);
  CHECK(split.train.classes == 10);
  for (const data::Dataset* half : {&split.train, &split.test}) {
    CHECK(std::set<std::int32_t>{half->groups.begin(), half->groups.end()}.size() == writers);
    CHECK(std::set<std::int32_t>{half->labels().begin(), half->labels().end()}.size() == characters);
  }
  folder.write("writers-idx1-short", loru_test::idx(0x0b, {count - 1}, {people.begin() + 2, people.end()}));
  CHECK_THROWS_WITH(data::omniglot(folder.path),
                    ContainsSubstring("writers-idx1-short: byte 4: expected 200 writers"));
  people[5] = people[4] = 0xff;
  folder.write("writers-idx1-short", loru_test::idx(0x0b, {count}, people));
  CHECK_THROWS_WITH(data::omniglot(folder.path),
                    ContainsSubstring("byte 12: sample 2: expected a writer >= 0, got -1"));
}

TEST_CASE("synthetic: separated clouds, one seed one set") {
  const data::SyntheticOptions options{
      .classes = 4, .sample = {2, 3, 5}, .train = 400, .test = 40, .separation = 8};
  const data::Split split = data::synthetic(options);
  CHECK_NOTHROW(split.train.check());
  CHECK(split.train.sample == Shape{2, 3, 5});
  CHECK(split.test.size() == 40);
  CHECK(split.train.label(6) == 2);
  CHECK(data::synthetic(options).train.features == split.train.features);
  CHECK(split.train.features != split.test.features);
  auto other = options;
  other.seed = 2;
  CHECK(data::synthetic(other).train.features != split.train.features);
  // A class's mean lies near a sphere of radius `separation`; samples scatter around it with unit deviation.
  const auto& x = std::get<std::vector<float>>(split.train.features);
  double radius = 0.0, scatter = 0.0;
  for (std::size_t f = 0; f < 30; ++f) {
    double mean = 0.0, squares = 0.0;
    for (std::size_t i = 1; i < 400; i += 4) {
      const double value = x[i * 30 + f];
      mean += value / 100;
      squares += value * value / 100;
    }
    radius += mean * mean;
    scatter += (squares - mean * mean) / 30;
  }
  CHECK(std::sqrt(radius) == Approx(8.0).epsilon(0.06));
  CHECK(scatter == Approx(1.0).epsilon(0.1));
  CHECK_THROWS_WITH(data::synthetic({.classes = 0}),
                    "synthetic: classes: expected a whole number in 1 .. 10000000, got 0");
  CHECK_THROWS_WITH(data::synthetic({.classes = Index{1} << 62}),
                    "synthetic: classes: expected a whole number in 1 .. 10000000, got 4611686018427387904");
  CHECK_THROWS_WITH(data::synthetic({.sample = {10'000, 10'000, 1'000}, .train = 1, .test = 1}),
                    "synthetic: expected at most 4000000000 numbers, got 10 samples or classes of shape "
                    "(10000, 10000, 1000)");
  CHECK_THROWS_WITH(
      data::synthetic({.sample = {8, 8, 8}, .train = 10'000'000}),
      "synthetic: expected at most 4000000000 numbers, got 10000000 samples or classes of shape "
      "(8, 8, 8)");
  CHECK_THROWS_AS(data::synthetic({.sample = {8, 8}}), ConfigError);
  CHECK_THROWS_AS(data::synthetic({.train = 0}), ConfigError);
  CHECK_THROWS_AS(data::synthetic({.noise = -1}), ConfigError);
}

TEST_CASE("dataset: vectors, numbers, flags and sequences are checked") {
  data::Dataset set{.name = "toy",
                    .sample = {2},
                    .features = std::vector<float>{1, 2, 3, 4},
                    .targets = data::Numbers{3, {1, 2, 3, 4, 5, 6}}};
  CHECK_NOTHROW(set.check());
  CHECK(set.size() == 2);
  CHECK(set.channels() == 2);
  CHECK_THROWS_WITH(set.labels(), "toy: expected classes as targets, got numbers");
  SECTION("numbers that are not finite") {
    std::get<data::Numbers>(set.targets).values[4] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_WITH(set.check(), "toy: sample 1: expected finite targets, got inf");
  }
  SECTION("features that are not finite") {
    std::get<std::vector<float>>(set.features)[1] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH(set.check(), "toy: sample 0: expected finite features, got nan");
  }
  SECTION("a number too few") {
    std::get<data::Numbers>(set.targets).values.pop_back();
    CHECK_THROWS_WITH(set.check(), "toy: expected 2 features for 1 samples of shape (2), got 4");
  }
  SECTION("flags") {
    set.targets = data::Flags{2, {0, 1, 1, 2}};
    CHECK_THROWS_WITH(set.check(), "toy: sample 1: expected labels of 0 or 1, got 2");
  }
  SECTION("sequences") {
    set = {.name = "toy",
           .classes = 9,
           .features = std::vector<std::int32_t>{1, 2, 3, 4},
           .targets = data::TokenLabels{{2, 3, 4, 5}},
           .starts = {0, 3, 3, 4}};
    CHECK_NOTHROW(set.check());
    CHECK(set.size() == 3);
    set.starts[2] = 2;
    CHECK_THROWS_WITH(set.check(), "toy: sample 1: expected an end at or after 3, got 2");
    set.starts = {0, 3};
    CHECK_THROWS_WITH(set.check(), "toy: expected starts from 0 to the 4 tokens, got 0 to 3");
    set.starts = {0, 3, 4};
    set.targets = data::TokenLabels{{2, 3}};
    CHECK_THROWS_WITH(set.check(), "toy: expected a target for each token of sequences, got 2");
  }
}

TEST_CASE("dataset: select copies rows of targets and whole sequences") {
  const data::Dataset rows{.name = "toy",
                           .sample = {2},
                           .features = std::vector<float>{1, 2, 3, 4},
                           .targets = data::Flags{3, {1, 0, 0, 0, 1, 1}}};
  const data::Dataset one = data::select(rows, std::vector<Index>{1});
  CHECK(std::get<std::vector<float>>(one.features) == std::vector<float>{3, 4});
  CHECK(std::get<data::Flags>(one.targets).values == std::vector<std::uint8_t>{0, 1, 1});
  const data::Dataset text{.name = "text",
                           .classes = 9,
                           .features = std::vector<std::int32_t>{1, 2, 3, 4, 5, 6},
                           .targets = data::TokenLabels{{2, 3, 4, 5, 6, 7}},
                           .starts = {0, 1, 4, 6}};
  const data::Dataset two = data::select(text, std::vector<Index>{2, 1});
  CHECK_NOTHROW(two.check());
  CHECK(two.starts == std::vector<Index>{0, 2, 5});
  CHECK(std::get<std::vector<std::int32_t>>(two.features) == std::vector<std::int32_t>{5, 6, 2, 3, 4});
  CHECK(std::get<data::TokenLabels>(two.targets).values == std::vector<std::int32_t>{6, 7, 3, 4, 5});
}

TEST_CASE("measure: per feature of vectors") {
  const data::Dataset set{.name = "toy",
                          .sample = {2},
                          .features = std::vector<float>{1, 5, 3, 5},
                          .targets = data::Labels{0, 0}};
  const data::Normalisation n = data::measure(set, 0.5);
  CHECK(n.mean == std::vector<double>{1.0, 2.5});
  CHECK(n.deviation == std::vector<double>{0.5, 1.0});  // what is constant is left alone
}
