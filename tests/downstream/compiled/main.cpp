// A product, a message and a model through loru::compiled, without a header of Eigen, nlohmann-json or zlib.
#include <cstdio>

#include <loru/loru.hpp>

#if defined(EIGEN_WORLD_VERSION) || defined(NLOHMANN_JSON_VERSION_MAJOR) || defined(ZLIB_VERSION)
#error "a header of loru includes what loru::compiled is to keep away"
#endif

int main() {
  using namespace loru;
  const Tensor<float> x({1, 2}, {1, 2}), w({1, 2}, {3, 4});
  io::Archive archive;
  archive.put("y", matmul(x, w, {.b = Op::transpose}));
  const float y = io::parse(io::serialise(archive)).get<float>("y").data()[0];
  auto model = nn::mlp<float>({.height = 8, .width = 8});
  lowrank::factorize(model, {.rank = 2, .layers = {"fc2"}});
  const auto z = model(Variable<float>(nn::constant<float>({1, 1, 8, 8}, 0.5)));
  std::printf("%.0f and %td classes\n", static_cast<double>(y), z.shape()[1]);
  return y == 11.0f && z.shape()[1] == 10 ? 0 : 1;
}
