// Small parts of the room: sampler, executor, algorithms and their options, model files.
#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

struct Temporary {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("loru_fl_" + std::to_string(::getpid()) + ".safetensors");
  ~Temporary() { std::filesystem::remove(path); }
};

Tensor<float> outputs_of(nn::Model<float>& model) {
  const std::vector<Index> samples{0, 1, 2, 3, 4};
  NoGrad guard;
  return model(Variable<float>(data::gather<float>(small_data().test, samples).inputs)).value();
}

/// Factors and statistics with something in them.
nn::Model<float> trained_model() {
  auto model = small_model<float>("resnet10");
  lowrank::factorize(model, {.rank = 2, .alpha = 3.0, .layers = {"layer*"}});
  fl::Simulation simulation{model,
                            fl::FedLoRA{},
                            small_data(),
                            small_parts(3),
                            {.cohort = 2, .client = momentum_client(), .eval_every = 0}};
  simulation.run_round(false);
  return simulation.model();
}

struct Knobs {
  Index count = 3;
  double share = 0.5;
  static constexpr std::string_view name = "knobs";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<>;
  static constexpr auto fields() {
    return Fields{field("count", &Knobs::count, range::between(1, 9), "how many"),
                  field("share", &Knobs::share, range::share, "how much")};
  }
};

}  // namespace

TEST_CASE("Cohorts are different clients, drawn evenly, by seed and round alone") {
  std::vector<Index> chosen(10);
  for (Index round = 1; round <= 3000; ++round) {
    const auto cohort = fl::sample_cohort(1, round, 10, 3);
    REQUIRE(cohort.size() == 3);
    REQUIRE(std::is_sorted(cohort.begin(), cohort.end()));
    REQUIRE(std::set(cohort.begin(), cohort.end()).size() == 3);
    for (const Index client : cohort) ++chosen.at(static_cast<std::size_t>(client));
  }
  for (const Index count : chosen)
    CHECK(std::abs(static_cast<double>(count) - 900.0) < 4.0 * std::sqrt(630.0));
  CHECK(fl::sample_cohort(1, 4, 100, 10) == fl::sample_cohort(1, 4, 100, 10));
  CHECK(fl::sample_cohort(1, 4, 100, 10) != fl::sample_cohort(1, 5, 100, 10));
  CHECK(fl::sample_cohort(1, 4, 100, 10) != fl::sample_cohort(2, 4, 100, 10));
  CHECK(fl::sample_cohort(1, 1, 4, 4) == std::vector<Index>{0, 1, 2, 3});
  CHECK_THROWS_AS(fl::sample_cohort(1, 1, 0, 1), ConfigError);
}

TEST_CASE("A cohort by fraction is the nearest count, at least one") {
  CHECK(fl::cohort_size(100, 0.1) == 10);
  CHECK(fl::cohort_size(20, 0.5) == 10);
  CHECK(fl::cohort_size(7, 1.0) == 7);
  CHECK(fl::cohort_size(10, 0.26) == 3);
  CHECK(fl::cohort_size(10, 0.001) == 1);
  for (const double fraction : {0.0, -0.5, 1.01, std::nan("")})
    CHECK_THROWS_AS(fl::cohort_size(10, fraction), ConfigError);
}

TEST_CASE("As many objects are made as are lent at once") {
  std::atomic<int> made{0};
  fl::Lender<std::unique_ptr<int>> lender([&] { return std::make_unique<int>(made++); });
  for (int i = 0; i < 5; ++i) CHECK(**lender.borrow() == 0);
  {
    auto a = lender.borrow(), b = lender.borrow();
    CHECK(**a != **b);
  }
  WorkerPool pool(3);
  pool.for_each(50, [&](Index) {
    auto loan = lender.borrow();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  });
  CHECK(made >= 2);
  CHECK(made <= 3);
  CHECK_THROWS_AS(
      [&] {
        auto loan = lender.borrow();
        throw Error("while lent");
      }(),
      Error);
  CHECK(made <= 3);
}

TEST_CASE("Options of algorithms are checked against their fields") {
  CHECK(fl::algorithm_names() ==
        std::vector<std::string>{"fedavg", "fedprox",    "fedlora",    "fedloru",  "fedpara", "ffa_lora",
                                 "rolora", "flora",      "fedex_lora", "flexlora", "hetlora", "mfedloru",
                                 "fedhm",  "fedsa_lora", "pfedloru",   "scaffold", "local",   "fedmomentum",
                                 "fedmud", "raflora",    "fed_sb"});
  std::vector<std::string> keys;
  fl::for_each_algorithm([&](auto algorithm) {
    static_assert(fl::Algorithm<decltype(algorithm)>);
    CHECK_NOTHROW(fl::check(algorithm));
    algorithm.fields().each([&](const auto& field) { keys.emplace_back(field.name); });
  });
  CHECK(keys == std::vector<std::string>{"mu",         "layers",        "tau",
                                         "merge",      "merge_when",    "merge_rounds",
                                         "growth",     "window",        "warmup",
                                         "form",       "gamma",         "lambda",
                                         "norm_limit", "tau",           "merge",
                                         "merge_when", "merge_rounds",  "growth",
                                         "window",     "tau",           "merge",
                                         "merge_when", "merge_rounds",  "growth",
                                         "window",     "personal_rank", "personal_alpha",
                                         "layers",     "layers",        "energy",
                                         "interval",   "initial"});
  CHECK(message_of<ConfigError>([] { fl::AnyAlgorithm<float>(fl::FedLoRU{.tau = 0}); }) ==
        "fedloru: tau: expected a whole number >= 1, got 0");
  CHECK(message_of<ConfigError>([] { fl::check(Knobs{.count = 10}); }) ==
        "knobs: count: expected a whole number in 1 .. 9, got 10");
  CHECK(message_of<ConfigError>([] { fl::check(Knobs{.share = -0.5}); }) ==
        "knobs: share: expected a number in [0, 1], got -0.5");
  CHECK_THROWS_AS(fl::check(Knobs{.share = std::nan("")}), ConfigError);
  static_assert(!fl::Algorithm<int> && !fl::Algorithm<fl::ClientOptions>);
}

TEST_CASE("A low-rank algorithm asks for factored layers") {
  const auto error = [](fl::AnyAlgorithm<float> algorithm) {
    return message_of<ConfigError>([&] { fl::Server<float>(small_model<float>(), algorithm, 1); });
  };
  CHECK(error(fl::FedLoRU{}) ==
        "fedloru: expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
  CHECK(error(fl::FedLoRA{}) ==
        "fedlora: expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
  CHECK(error(fl::FedAvg{}) == "nothing was thrown");
  CHECK(message_of<ConfigError>([] { fl::Server<float>(small_factored<float>(), fl::FedPara{}, 1); }) ==
        "fedpara: expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
}

TEST_CASE("A model file brings weights, factors and statistics back") {
  const Temporary file;
  auto model = trained_model();
  io::save(model, file.path);
  auto dense = small_model<float>("resnet10");
  io::load(dense, file.path);  // its layers become factored
  CHECK(bits(dense) == bits(model));
  CHECK(same_bits(outputs_of(dense), outputs_of(model)));
  CHECK(dense.trained_parameters().size() == model.trained_parameters().size());
  auto factored = small_model<float>("resnet10");
  lowrank::factorize(factored, {.rank = 2, .alpha = 3.0, .layers = {"layer*"}, .seed = 8});
  io::load(factored, file.path);
  CHECK(same_bits(outputs_of(factored), outputs_of(model)));

  const io::Archive archive = io::load(file.path);
  CHECK(archive.metadata().at("alpha") == "3");
  CHECK(archive.contains("layer1.0.conv1.lora_A.weight"));
  CHECK(archive.contains("layer1.0.conv1.lora_B.weight"));
  CHECK(archive.contains("bn1.running_mean"));
}

TEST_CASE("Model files hold row-major weights") {
  auto model = small_model<float>("resnet10");
  const Tensor<float> conv = model.parameters()[2 + 1].value.value();
  const std::string name = model.parameters()[2 + 1].name;
  REQUIRE(name == "layer1.0.conv1.weight");
  REQUIRE(conv.layout() == Layout::channels_last);
  const io::Archive archive = io::parse(io::serialise(io::to_archive(model)));
  const Tensor<float> stored = archive.get<float>(name);
  REQUIRE(stored.layout() == Layout::row_major);
  for (Index n = 0, at = 0; n < conv.dim(0); ++n)
    for (Index c = 0; c < conv.dim(1); ++c)
      for (Index h = 0; h < 3; ++h)
        for (Index w = 0; w < 3; ++w) REQUIRE(stored.data()[at++] == conv.data()[conv.offset(n, c, h, w)]);
}

TEST_CASE("Layers of different alpha keep theirs in a file") {
  auto model = small_model<float>();
  lowrank::factorize(model, {.rank = 2, .alpha = 3.0, .layers = {"fc1"}});
  lowrank::factorize(model, {.rank = 4, .alpha = 8.0, .layers = {"fc2"}});
  lowrank::for_each_weight<nn::Factored>(model, [](const std::string&, nn::Factored<float>& w) {
    w.b().set_value(gaussian<float>(w.b().shape()));
  });
  const io::Archive archive = io::to_archive(model);
  CHECK(archive.metadata().at("alpha") == "3");
  CHECK(archive.metadata().at("fc2.alpha") == "8");
  auto copy = small_model<float>();
  io::from_archive(copy, archive);
  CHECK(same_bits(outputs_of(copy), outputs_of(model)));
  auto other = small_model<float>();
  lowrank::factorize(other, {.rank = 2, .alpha = 5.0, .layers = {"fc1"}});
  CHECK(message_of<DataError>([&] { io::from_archive(other, archive); }) ==
        "model: layer fc1: expected alpha 5, got 3");
}

TEST_CASE("A model file is not read without the factors of a parametrisation that the model lacks") {
  auto aware = small_model<float>(), core = small_model<float>();
  lowrank::factorize_aggregation_aware(aware, {.rank = 2}, 0.1);
  lowrank::factorize_core(core, {.rank = 2});
  const auto into = [](nn::Model<float> model, nn::Model<float>& saved) {
    return message_of<DataError>([&] { io::from_archive(model, io::to_archive(saved)); });
  };
  CHECK(into(small_model<float>(), aware) ==
        "model: tensor fc2.aad_A.weight: expected a layer fc2 that is parametrised by it");
  CHECK(into(small_model<float>(), core) ==
        "model: tensor fc2.core_A.weight: expected a layer fc2 that is parametrised by it");
  CHECK_THAT(into(core, aware), ContainsSubstring("tensor fc2.aad_A.weight"));
  io::from_archive(core, io::to_archive(core));
}

TEST_CASE("Model files that do not fit say where") {
  auto model = trained_model();
  const auto error = [&](auto change) {
    io::Archive archive = io::to_archive(model);
    change(archive);
    auto fresh = small_model<float>("resnet10");
    return message_of<DataError>([&] { io::from_archive(fresh, archive); });
  };
  const std::string a = "layer1.0.conv1.lora_A.weight", b = "layer1.0.conv1.lora_B.weight";
  CHECK_THAT(error([](io::Archive& x) { x.erase("fc.bias"); }),
             StartsWith("model: expected a tensor named 'fc.bias'"));
  CHECK_THAT(error([](io::Archive& x) { x.erase("bn1.running_var"); }),
             ContainsSubstring("'bn1.running_var'"));
  CHECK_THAT(error([](io::Archive& x) { x.put("fc.bias", Tensor<float>({1}, {1})); }),
             ContainsSubstring("tensor fc.bias: expected shape (4), got (1)"));
  CHECK_THAT(error([&](io::Archive& x) { x.erase(b); }), ContainsSubstring("'" + b + "'"));
  CHECK_THAT(error([&](io::Archive& x) { x.put(a, Tensor<float>({2, 4})); }),
             ContainsSubstring("tensor " + a + ": expected shape (2, 4, 3, 3), got (2, 4)"));
  CHECK_THAT(error([&](io::Archive& x) { x.put(a, Tensor<float>({0, 4, 3, 3})); }),
             ContainsSubstring("tensor " + a + ": expected at least one row"));
  CHECK(error([](io::Archive& x) { x.metadata().clear(); }) == "model: expected metadata 'alpha'");
  CHECK_THROWS_AS(io::load(model, "/nowhere/model.safetensors"), IoError);
}
