// Adapters that PEFT wrote (peft/generate.py): read, they give its logits; written again, its bytes.

#include <filesystem>

#include <loru/lowrank/merge.hpp>
#include <loru/train/adapter_file.hpp>

#include "golden/golden.hpp"

using namespace golden;

namespace {

struct Case {
  std::filesystem::path folder;
  io::Archive model = io::load(folder / "model.safetensors");
  io::Adapter adapter = io::load_adapter(folder);
};

Case open(const std::string& name) {
  return {std::filesystem::path(LORU_SOURCE_DIR "/tests/golden/peft") / name};
}

/// A tensor of any precision.
template <class T>
Tensor<T> numbers(const io::Archive& file, const std::string& name) {
  const Shape shape = file.raw(name).shape;
  return file.raw(name).dtype == io::DType::f32 ? io::detail::cast<T>(file.get<float>(name), shape)
                                                : io::detail::cast<T>(file.get<double>(name), shape);
}

template <class T>
void set_values(nn::Model<T>& model, const io::Archive& file) {
  for (auto& p : model.parameters())
    p.value.set_value(to_layout(numbers<T>(file, p.name), p.value.value().layout()));
}

nn::Tokens<> tokens_of(const io::Archive& file) {
  const auto starts = file.get<std::int64_t>("starts");
  return {read_labels(file, "tokens"), {{starts.data(), starts.data() + starts.size()}}};
}

/// The model with the case's own weights, and its logits.
template <class T>
struct Subject {
  nn::Model<T> model;
  std::function<Tensor<T>(nn::Model<T>&)> logits;
};

template <class T>
Subject<T> on_tokens(const io::Archive& file, nn::Model<T> model) {
  set_values(model, file);
  return {model, [tokens = tokens_of(file)](nn::Model<T>& m) {
            return m({}, nn::Pass{.sequences = &tokens}).value();
          }};
}

template <class T>
Subject<T> bert(const io::Archive& file) {
  return on_tokens<T>(file, nn::bert<T>({.vocabulary = integer(file, "vocabulary"),
                                         .positions = integer(file, "positions"),
                                         .width = integer(file, "width"),
                                         .layers = integer(file, "layers"),
                                         .heads = integer(file, "heads"),
                                         .feed_forward = integer(file, "feed_forward"),
                                         .classes = integer(file, "classes"),
                                         .epsilon = number(file, "epsilon")}));
}

template <class T>
Subject<T> llama(const io::Archive& file) {
  return on_tokens<T>(file, nn::llama<T>({.vocabulary = integer(file, "vocabulary"),
                                          .positions = integer(file, "positions"),
                                          .width = integer(file, "width"),
                                          .layers = integer(file, "layers"),
                                          .heads = integer(file, "heads"),
                                          .groups = integer(file, "groups"),
                                          .feed_forward = integer(file, "feed_forward"),
                                          .theta = number(file, "theta"),
                                          .epsilon = number(file, "epsilon")}));
}

template <class T>
Subject<T> convolution(const io::Archive& file) {
  const rng::Stream stream(1);
  nn::Sequential<T> s;
  s.add("conv1", nn::Conv2d<T>({.in = 2, .out = 6, .padding = 1}, stream)).add("relu1", nn::ReLU<T>());
  s.add("conv2", nn::Conv2d<T>({.in = 6, .out = 8, .stride = 2, .padding = 1}, stream));
  s.add("relu2", nn::ReLU<T>()).add("flatten", nn::Flatten<T>());
  s.add("fc1", nn::Linear<T>({.in = 72, .out = 10}, stream)).add("relu3", nn::ReLU<T>());
  s.add("fc2", nn::Linear<T>({.in = 10, .out = 4}, stream));
  nn::Model<T> model = std::move(s);
  set_values(model, file);
  return {model, [x = numbers<T>(file, "x")](nn::Model<T>& m) {
            return m(Variable<T>(to_layout(x, Layout::channels_last))).value();
          }};
}

template <class T>
Subject<T> subject(const std::string& name, const io::Archive& file) {
  return name == "bert" ? bert<T>(file) : name == "llama" ? llama<T>(file) : convolution<T>(file);
}

/// Every value of both archives, as bytes.
void check_same_bytes(const io::Archive& got, const io::Archive& expected) {
  CHECK(io::serialise(got) == io::serialise(expected));
}

}  // namespace

TEMPLATE_TEST_CASE("golden: an adapter of PEFT gives its logits", "[golden]", float, double) {
  using T = TestType;
  const std::string name = GENERATE("bert", "llama", "convolution");
  INFO(name);
  const Case c = open(name);
  auto [model, logits] = subject<T>(name, c.model);
  io::add_adapter(model, c.adapter);
  const Tensor<T> expected = numbers<T>(c.model, "logits");
  CHECK(difference(logits(model), expected) <= tolerance<T>);
  lowrank::merge(model, lowrank::MergeKind::reinit, rng::Stream(1));
  CHECK(difference(logits(model), expected) <= tolerance<T>);
}

TEST_CASE("golden: an adapter that is read and written again has PEFT's bytes") {
  check_same_bytes(io::to_archive<double>(open("bert").adapter),
                   io::load(open("bert").folder / "adapter_model.safetensors"));
  check_same_bytes(io::to_archive<float>(open("llama").adapter),
                   io::load(open("llama").folder / "adapter_model.safetensors"));
  check_same_bytes(io::to_archive<double>(open("convolution").adapter),
                   io::load(open("convolution").folder / "adapter_model.safetensors"));
}

TEST_CASE("golden: a model with PEFT's adapter gives the same adapter") {
  const std::string name = GENERATE("bert", "llama", "convolution");
  INFO(name);
  const Case c = open(name);
  auto model = subject<double>(name, c.model).model;
  nn::train_only(model, name == "bert"
                            ? std::vector<std::string>{"classifier.*", "*.query.bias", "*.value.bias"}
                        : name == "llama" ? std::vector<std::string>{}
                                          : std::vector<std::string>{"fc2.*"});
  io::add_adapter(model, c.adapter);
  const io::Adapter again = io::to_adapter<double>(model, {.rslora = c.adapter.rslora});
  check_same_bytes(io::to_archive<double>(again), io::to_archive<double>(c.adapter));
  for (const auto& [layer, f] : again.layers)
    CHECK(f.alpha == Approx(c.adapter.layers.at(layer).alpha).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("golden: merges of factors are one adapter to the first weights", "[golden]", float,
                   double) {
  using T = TestType;
  const std::string name = GENERATE("bert", "llama", "convolution");
  INFO(name);
  const Case c = open(name);
  auto [base, logits] = subject<T>(name, c.model);
  nn::train_only(base, {});
  nn::Model<T> model = base;
  io::add_adapter(model, c.adapter);
  io::AdapterOptions<T> options;
  for (std::uint64_t merge = 1; merge <= 3; ++merge) {
    for (const auto& [layer, f] : lowrank::products(model)) options.merged[layer].push_back({1.0, f.a, f.b});
    lowrank::merge(model, lowrank::MergeKind::reinit, rng::Stream(merge));
    std::uint64_t seed = 10 * merge;
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<T>& w) {
      w.b().set_value(nn::uniform<T>(w.b().shape(), 0.3, rng::Stream(++seed)));
    });
  }
  const io::Adapter stacked = io::to_adapter<T>(model, options);
  for (const auto& [layer, f] : stacked.layers) CHECK(f.rank() == 4 * c.adapter.layers.at(layer).rank());
  nn::Model<T> again = base;
  io::add_adapter(again, stacked);
  io::set_adapter(again, {.values = io::bind_adapter(c.adapter, base).values});
  CHECK(difference(logits(again), logits(model)) <= (std::same_as<T, float> ? 1e-5 : 1e-13));
  const auto whole = io::merged_archive(model), theirs = io::merged_archive(again);
  CHECK(whole.names() == theirs.names());
  for (const std::string& tensor : whole.names()) {
    INFO(tensor);
    CHECK(difference(theirs.template get<T>(tensor), whole.template get<T>(tensor)) <=
          (std::same_as<T, float> ? 1e-6 : 1e-14));
  }
}
