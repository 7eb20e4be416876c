// Full weights on the server, truncated decompositions on the clients.
#include <loru/autograd/gradcheck.hpp>

#include "mixed.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Product = nn::LowRankProduct<double>;

Product random_product(bool convolution) {
  const Shape w = convolution ? Shape{4, 3, 3, 2} : Shape{5, 7}, matrix = Product::matrix_shape(w);
  return {w, gaussian({matrix[0], 2}, 1), gaussian({2, matrix[1]}, 2)};
}

/// A model in which one dense layer or one convolution is decomposed at full rank.
nn::Model<double> full_rank(bool convolution) {
  auto model = small_model<double>(convolution ? "resnet10" : "mlp");
  const std::string layer = convolution ? "layer2.0.conv1" : "fc2";
  Index full = 0;
  model.visit({.weight = [&](const std::string& name, nn::Weight<double>& weight) {
    const Shape matrix = Product::matrix_shape(weight.shape());
    if (name == layer) full = std::min(matrix[0], matrix[1]);
  }});
  fl::AnyAlgorithm<double>(fl::FedHM{}).parametrise(model, {.rank = full, .layers = {layer}});
  return model;
}

/// W of every decomposed layer as a matrix.
std::map<std::string, Tensor<double>> wholes(nn::Model<double>& model) {
  std::map<std::string, Tensor<double>> all;
  lowrank::for_each_weight<nn::LowRankProduct>(model, [&](const std::string& layer, Product& w) {
    all[layer] = clone(w.whole().value()).as_matrix(w.u().shape()[0]);
  });
  return all;
}

}  // namespace

TEST_CASE("low-rank product: W[o, c, y, x] is row (o, y) of U times column (x, c) of V") {
  Product weight = random_product(true);
  const Tensor<double> w = to_layout(compose(weight.form()).value(), Layout::row_major);
  REQUIRE(w.shape() == Shape({4, 3, 3, 2}));
  const Tensor<double>&u = weight.u().value(), &v = weight.v().value();
  for (Index o = 0; o < 4; ++o)
    for (Index c = 0; c < 3; ++c)
      for (Index y = 0; y < 3; ++y)
        for (Index x = 0; x < 2; ++x) {
          double expected = 0.0;
          for (Index k = 0; k < 2; ++k)
            expected += u.data()[(o * 3 + y) * 2 + k] * v.data()[k * 6 + x * 3 + c];
          REQUIRE(w.data()[((o * 3 + c) * 3 + y) * 2 + x] == Approx(expected).epsilon(1e-12));
        }
  CHECK(weight.rank() == 2);
  CHECK_THROWS_AS(Product({5, 7}, gaussian({5, 2}), gaussian({3, 7})), ShapeError);
}

TEST_CASE("low-rank product: gradients, linear and convolution") {
  const bool convolution = GENERATE(false, true);
  Product weight = random_product(convolution);
  std::vector<Variable<double>> inputs{weight.u(), weight.v()};
  inputs.emplace_back(convolution ? gaussian({2, 3, 5, 4}, 8, Layout::channels_last) : gaussian({3, 7}, 8),
                      true);
  const auto f = [&](std::vector<Variable<double>>& v) {
    nn::Pass pass;
    const auto y = convolution ? nn::conv2d(weight.form(), v.back(), {.stride = 2, .padding = 1}, pass)
                               : nn::linear(weight.form(), v.back(), pass);
    return sum(multiply(y, Variable<double>(gaussian(y.shape(), 99, y.value().layout()))));
  };
  CHECK(gradcheck(f, inputs) < 1e-6);
}

TEST_CASE("fedhm: full rank returns W after no local steps") {
  auto start = full_rank(GENERATE(false, true));
  const auto before = wholes(start);
  REQUIRE(before.size() == 1);
  const fl::AnyAlgorithm<double> algorithm(fl::FedHM{});
  fl::Server<double> server(start, algorithm, 5);
  server.begin_round();
  for (Index client = 0; client < 2; ++client) {
    auto device = start;
    const fl::Message down = server.broadcast(client);
    fl::load_broadcast(device, io::borrow(down, "broadcast"), algorithm);
    lowrank::for_each_weight<nn::LowRankProduct>(device, [](auto&, Product& w) { CHECK_FALSE(w.whole()); });
    server.receive(fl::update_message(device, {5, 1, client}, 3 + client, 1.0));
  }
  server.finish_round();
  const auto after = wholes(server.model());
  for (const auto& [layer, w] : before) {
    CHECK(difference(after.at(layer), w) < 1e-13);
    CHECK_FALSE(same_bits(after.at(layer), w));  // it was taken apart and multiplied again
  }
}

TEST_CASE("fedhm: one step of gradient descent moves W by −η·(G·VᵀV + U·UᵀG) + O(η²)") {
  const bool convolution = GENERATE(false, true);
  const auto start = full_rank(convolution);
  const auto part = small_parts(1).samples(0);
  auto dense = small_model<double>(convolution ? "resnet10" : "mlp");
  const auto batch = data::gather<double>(small_data().train, part);
  cross_entropy(dense(Variable<double>(batch.inputs), nn::Pass::train()), batch.labels).backward();
  const std::string layer = convolution ? "layer2.0.conv1" : "fc2";
  Tensor<double> g;
  for (auto& p : dense.parameters())
    if (p.name == layer + ".weight") g = p.value.gradient();
  const auto error = [&](double eta) {
    auto model = start, device = start;
    const fl::AnyAlgorithm<double> algorithm(fl::FedHM{});
    fl::Server<double> server(model, algorithm, 5);
    Tensor<double> u, v;
    lowrank::for_each_weight<nn::LowRankProduct>(server.model(), [&](auto&, Product& w) {
      u = clone(w.u().value());
      v = clone(w.v().value());
    });
    const auto before = wholes(server.model());
    server.begin_round();
    server.receive(fl::answer(device, server.broadcast(0), algorithm, small_data().train, part,
                              {.epochs = 1, .batch = 1000, .optimizer = {.learning_rate = eta}}));
    server.finish_round();
    const auto after = wholes(server.model());
    Tensor<double> moved = clone(after.at(layer));
    add_scaled(moved, -1.0, before.at(layer));
    const Tensor<double> gm =
        to_layout(g, convolution ? Layout::channels_last : Layout::row_major).as_matrix(u.dim(0));
    Tensor<double> expected = matmul(gm, matmul(v, v, {.a = Op::transpose}), {});
    add_scaled(expected, 1.0, matmul(matmul(u, u, {.b = Op::transpose}), gm, {}));
    CHECK(linalg::norm(moved) > 0.5 * eta * linalg::norm(expected));
    add_scaled(moved, eta, expected);
    return linalg::norm(moved) / (eta * linalg::norm(expected));
  };
  const double coarse = error(1e-2), fine = error(1e-3), finest = error(1e-4);
  CHECK(coarse < 1e-1);
  CHECK(fine == Approx(coarse / 10).epsilon(0.05));
  CHECK(finest == Approx(fine / 10).epsilon(0.05));
}

TEST_CASE("fedhm: the aggregation error is the distance of W from the mean of the products") {
  auto model = full_rank(GENERATE(false, true));
  const auto w = wholes(model);
  fl::Update update{.head = {}, .samples = 4, .loss = 0.0, .state = {}};
  Tensor<double> product;
  lowrank::for_each_weight<nn::LowRankProduct>(model, [&](const std::string& layer, Product& p) {
    const auto u = gaussian(p.u().shape(), 3), v = gaussian(p.v().shape(), 4);
    update.state.put(layer + ".product_U.weight", u);
    update.state.put(layer + ".product_V.weight", v);
    product = matmul(u, v, {});
  });
  const io::Archive none;
  const fl::AggregationError<double, Cpu> error(model, {none, {&update, 1}, 4, none, 1, none}, {});
  const auto lost = error(model);
  REQUIRE(lost.size() == 1);
  for (const auto& [layer, whole] : w) {
    add_scaled(product, -1.0, whole);
    CHECK(lost.at(layer) == Approx(linalg::norm(product)));
  }
}

TEST_CASE("fedhm: clients get the best part of W at their ranks, and the server averages products") {
  auto start = small_model<double>(GENERATE("mlp", "resnet10"));
  const fl::AnyAlgorithm<double> algorithm(fl::FedHM{});
  algorithm.parametrise(start, {.rank = 4, .small_layers = lowrank::SmallLayers::dense});
  Mixed<double> run(start, algorithm);
  run.server.measure_aggregation(true);
  for (int i = 0; i < 2; ++i) {
    run.round();
    CHECK(run.server.aggregation_error().size() == wholes(run.server.model()).size());
    for (const auto& [layer, lost] : run.server.aggregation_error()) CHECK(lost < 1e-12);
    const auto got = wholes(run.server.model());
    std::map<std::string, Tensor<double>> expected;
    for (std::size_t k = 0; k < 3; ++k)
      lowrank::for_each_weight<nn::LowRankProduct>(run.devices[k], [&](const std::string& layer, Product& w) {
        CHECK(w.rank() == Index{1} << k);
        const auto own = matmul(w.u().value(), w.v().value(), {});
        if (k == 0) fill(expected[layer] = Tensor<double>(own.shape()), 0.0);
        add_scaled(expected[layer], run.shares[k], own);
      });
    REQUIRE(got.size() == expected.size());
    for (const auto& [layer, w] : expected) CHECK(difference(got.at(layer), w) < 1e-13);
  }
  const auto w = wholes(run.server.model());
  run.server.begin_round();
  const fl::Message down = run.server.broadcast(1);
  const io::Archive broadcast = io::borrow(down, "broadcast");
  for (const auto& [layer, whole] : w) {
    const auto best = lowrank::svd_factors(whole, 2, 1.0);
    CHECK_FALSE(broadcast.contains(layer + ".weight"));
    CHECK(difference(matmul(broadcast.get<double>(layer + ".product_U.weight"),
                            broadcast.get<double>(layer + ".product_V.weight"), {}),
                     matmul(best.b, best.a, {})) < 1e-12);
  }
}

TEST_CASE("fedhm: what travels, to the byte") {
  auto model = small_model<float>(GENERATE("mlp", "resnet10"));
  const fl::AnyAlgorithm<float> algorithm(fl::FedHM{});
  algorithm.parametrise(model, {.rank = 4, .small_layers = lowrank::SmallLayers::dense});
  std::size_t others = 0, per_rank = 0;
  for (const auto& [name, t, role] : model.state())
    if (!nn::is_factor(role)) others += sizeof(float) * static_cast<std::size_t>(t.size());
  lowrank::for_each_weight<nn::LowRankProduct>(model, [&](auto&, nn::LowRankProduct<float>& w) {
    const Shape s = w.shape();
    per_rank +=
        sizeof(float) * static_cast<std::size_t>(s.rank() == 4 ? s[0] * s[2] + s[1] * s[3] : s[0] + s[1]);
  });
  Mixed<float> run(model, algorithm);
  run.server.begin_round();
  for (std::size_t k = 0; k < 3; ++k) {
    const fl::Message down = run.server.broadcast(static_cast<Index>(k));
    const fl::Message up = fl::answer(run.devices[k], down, algorithm, small_data().train,
                                      small_parts(3).samples(static_cast<Index>(k)), momentum_client());
    CHECK(payload(down) == others + (std::size_t{1} << k) * per_rank);
    CHECK(payload(up) == payload(down));
  }
}

TEST_CASE("fedhm: layers whose matrix is too narrow for the rank") {
  auto model = small_model<float>();
  CHECK_THAT(message_of<ConfigError>([&] {
               fl::AnyAlgorithm<float>(fl::FedHM{}).parametrise(model, {.rank = 1000, .layers = {"fc2"}});
             }),
             StartsWith("factorize: layer fc2: rank 1000 exceeds min(in="));
}
