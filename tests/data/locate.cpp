#include <loru/data/load.hpp>
#include <loru/data/locate.hpp>

#include <vector>

#include "data/files.hpp"
#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

const data::FileSet things{"things", {"one", "two"}, {"official"}, {"package"}, "`./dev data things`"};

data::Path found(const data::Path& dir = {}, std::vector<data::Path> also = {}) {
  return data::locate(things, dir, also).path;
}

}  // namespace

TEST_CASE("locate: the folders are tried in the order that is promised") {
  const loru_test::Folder folder;
  const loru_test::Variable variable{"LORU_DATA_DIR", "env"};
  CHECK(data::search_path(things, {}, std::vector<data::Path>{"more"}) ==
        std::vector<data::Path>{"env/things", "env/official", "env", "package", "data/things",
                                "data/official", "data", "more/things", "more/official", "more"});
  CHECK(data::search_path(things, "mine") == std::vector<data::Path>{"mine/things", "mine/official", "mine"});
  for (const char* place : {"more", "data", "data/things", "package", "env", "env/official", "env/things"}) {
    folder.write(std::string(place) + "/one", {});
    folder.write(std::string(place) + "/two.gz", {});
    CHECK(found({}, {"more"}) == data::Path{place});
  }
  CHECK(found("data") == data::Path{"data/things"});
}

TEST_CASE("locate: plain before gzip, and a folder with all files before one with some") {
  const loru_test::Folder folder;
  const loru_test::Variable variable{"LORU_DATA_DIR", nullptr};
  folder.write("package/one", {});
  CHECK(found() == data::Path{"package"});
  folder.write("data/one", {});
  folder.write("data/one.gz", {});
  folder.write("data/two.gz", {});
  const data::Folder all = data::locate(things, {});
  CHECK(all.file("one") == data::Path{"data/one"});
  CHECK(all.file("two") == data::Path{"data/two.gz"});
  CHECK_THROWS_AS(data::locate(things, "package").file("two"), DataError);
  CHECK_THROWS_WITH(
      data::locate(things, "package").file("two"),
      "things: expected two or two.gz in package, found neither; get it with `./dev data things`");
}

TEST_CASE("locate: a missing data set names the command that gets it") {
  const loru_test::Folder folder;
  const loru_test::Variable variable{"LORU_DATA_DIR", ""};
  CHECK_THROWS_AS(found("nowhere"), DataError);
  CHECK_THROWS_WITH(found(),
                    "things: data set not found: expected one or one.gz in one of: package, data/things, "
                    "data/official, data; get it with `./dev data things`");
  for (const char* name : {"mnist", "cifar10", "cifar100", "digits", "omniglot"})
    CHECK_THROWS_WITH(data::load({.name = name}),
                      ContainsSubstring(std::string(name) + ": data set not found") &&
                          ContainsSubstring("get it with `./dev data " + std::string(name) + "`"));
  CHECK_THROWS_WITH(data::load({.name = "fashion-mnist", .dir = "nowhere"}),
                    ContainsSubstring("`./dev data fashion-mnist` or `apt install dataset-fashion-mnist`"));
}

TEST_CASE("load: by name, with the nearest name for one that is not known") {
  const loru_test::Folder folder;
  loru_test::write_mnist(folder, "mine/fashion-mnist/", 20, 10);
  CHECK(data::load({.name = "fashion-mnist", .dir = "mine"}).train.name == "fashion-mnist");
  CHECK(data::load({.name = "idx", .dir = "mine/fashion-mnist"}).train.size() == 20);
  CHECK(data::load({.name = "synthetic", .synthetic = {.classes = 3}}).train.classes == 3);
  CHECK_THROWS_AS(data::load({.name = "fashion_mnist"}), ConfigError);
  CHECK_THROWS_WITH(data::load({.name = "fashion_mnist"}),
                    "data: name: unknown data set \"fashion_mnist\", nearest is \"fashion-mnist\"");
  CHECK_THROWS_WITH(data::load({.name = "cifar1000"}), ContainsSubstring("nearest is \"cifar100\""));
}
