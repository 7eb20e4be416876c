// How kernels are cut into blocks: pure functions, so that nothing is launched here.
#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/forward.cuh>

#include "support/catch.hpp"

using namespace loru::cuda;

namespace {

constexpr int multiprocessors = 132;  // of an H100 or H200

/// A layer on one sample: rows of y and of x (pixels or tokens), n inputs of a row, m outputs; a
/// convolution's n are windows, and dx sums over places.
struct Layer {
  const char* name;
  int rows, input_rows, n, m, places, channels;
};

Layer dense(const char* name, int n, int m, int rows = 1) { return {name, rows, rows, n, m, 1, n}; }
Layer convolution(const char* name, int channels, int m, int side, int kernel, int stride) {
  const int out = side / stride, places = kernel * kernel;
  return {name, out * out, side * side, places * channels, m, places, channels};
}

/// The layers of ResNet-18 and ResNet-10 on 32 x 32 pixels, of cnn on 28 x 28, of mlp, and of transformers on
/// 128 tokens.
const std::vector<Layer> layers{convolution("stem", 3, 64, 32, 3, 1),
                                convolution("layer1", 64, 64, 32, 3, 1),
                                convolution("layer2.0", 64, 128, 32, 3, 2),
                                convolution("layer2", 128, 128, 16, 3, 1),
                                convolution("layer2 shortcut", 64, 128, 32, 1, 2),
                                convolution("layer3.0", 128, 256, 16, 3, 2),
                                convolution("layer3", 256, 256, 8, 3, 1),
                                convolution("layer3 shortcut", 128, 256, 16, 1, 2),
                                convolution("layer4.0", 256, 512, 8, 3, 2),
                                convolution("layer4", 512, 512, 4, 3, 1),
                                convolution("layer4 shortcut", 256, 512, 8, 1, 2),
                                convolution("cnn conv1", 1, 32, 28, 5, 1),
                                convolution("cnn conv2", 32, 64, 14, 5, 1),
                                dense("cnn fc1", 3136, 512),
                                dense("classifier", 512, 10),
                                dense("classifier of 100", 512, 100),
                                dense("mlp fc1", 784, 200),
                                dense("mlp fc2", 200, 200),
                                dense("attention 128", 128, 128, 128),
                                dense("attention 768", 768, 768, 128),
                                dense("feed-forward up", 768, 3072, 128),
                                dense("feed-forward down", 3072, 768, 128)};

/// A kernel's blocks, and the tiles of the loop of each.
struct Shaped {
  const char* kernel;
  std::int64_t blocks;
  int tiles;

  bool fills() const { return blocks >= multiprocessors || tiles <= longest_loop; }
};

Shaped product(const char* kernel, int rows, int cols, int tiles, bool tensor_cores) {
  const ProductTile tile = product_tile(rows, cols);
  const int blocks = divide_up(rows, tile.rows) * divide_up(cols, tile.cols);
  const SumCut cut = product_cut(blocks, tiles, tensor_cores, multiprocessors);
  return {kernel, std::int64_t{blocks} * cut.pieces, cut.each};
}

Shaped reduction(const char* kernel, int rows, int columns, int ranks) {
  const SumCut cut = row_cut(rows, columns, ranks, multiprocessors);
  return {kernel, std::int64_t{divide_up(columns, 128)} * divide_up(ranks, 64) * cut.pieces, 2 * cut.each};
}

/// All kernels of a step with a layer, in whatever plan.
std::vector<Shaped> kernels(const Layer& l, int batch, int r, bool tensor_cores, bool bf16) {
  const DeviceRates rates{tensor_cores ? 400e12 : 67e12, 3.35e12};
  const int size = bf16 ? 2 : 4, depth = 64 / size, M = batch * l.rows, inputs = batch * l.input_rows;
  const auto tiles = [&](int k) { return divide_up(k, depth); };
  std::vector<Shaped> all{product("y", M, l.m, tiles(l.n), tensor_cores),
                          product("dx", inputs, l.channels, tiles(l.places * l.m), tensor_cores),
                          product("dx with factors", inputs, l.channels,
                                  tiles(l.places * l.m) + tiles(l.places * r), tensor_cores),
                          product("dS", M, r, tiles(l.m), tensor_cores),
                          reduction("dW", M, l.n, l.m),
                          reduction("dA", M, l.n, r),
                          reduction("dB", M, l.m, r)};
  if (forward_form(M, l.m, l.n, r, size, rates, multiprocessors) == ForwardForm::one_pass) {
    all.push_back({"one pass", std::int64_t{divide_up(M, 128)} * divide_up(l.m, 128), tiles(l.n)});
  } else {
    all.push_back(product("S", M, r, tiles(l.n), tensor_cores));
    all.push_back(product("y with factors", M, l.m, tiles(l.n) + tiles(r), tensor_cores));
  }
  if (l.places == 1 &&
      backward_form(M, l.m, l.n, r, bf16, true, rates, multiprocessors) == BackwardForm::one_pass)
    all.push_back({"dx in one pass", std::int64_t{divide_up(M, 128)} * divide_up(l.n, 128), tiles(l.m)});
  const BackwardCut cut(M, l.m, r, bf16, multiprocessors);
  all.push_back({"dSdB", std::int64_t{cut.groups} * cut.parts * divide_up(r, 64),
                 cut.height / 64 * std::min(divide_up(l.m, 128), BackwardCut::columns(r, bf16))});
  return all;
}

}  // namespace

TEST_CASE("tuning: federated layers fill a large device, or their loops are short") {
  for (const Layer& l : layers)
    for (const int batch : {10, 32, 128})
      for (const int r : {3, 16, 64, 128}) {
        if (r > std::min(l.n, l.m)) continue;
        for (const auto& [tensor_cores, bf16] : {std::pair{false, false}, {true, false}, {true, true}})
          for (const Shaped& k : kernels(l, batch, r, tensor_cores, bf16)) {
            INFO(l.name << ", batch " << batch << ", rank " << r << ", tensor cores " << tensor_cores
                        << ", bf16 " << bf16 << ": " << k.kernel << " has " << k.blocks << " blocks of "
                        << k.tiles << " tiles");
            CHECK(k.fills());
          }
      }
}

TEST_CASE("tuning: pieces hold all steps, none is empty, and their memory suffices") {
  for (const int device : {1, 12, 46, 108, 132})
    for (const int blocks : {1, 2, 7, 16, 45, 131, 132, 1000})
      for (const int steps : {0, 1, 2, 9, 63, 196, 288, 5000})
        for (const SumCost cost : {SumCost{}, SumCost{1, 4}, SumCost{2, 1}}) {
          const SumCut cut = sum_cut(blocks, steps, device, cost);
          INFO(device << " multiprocessors, " << blocks << " blocks, " << steps << " steps: " << cut.pieces
                      << " of " << cut.each);
          CHECK((cut.pieces - 1) * cut.each < std::max(1, steps));
          CHECK(cut.pieces * cut.each >= steps);
          if (cut.pieces > 1) CHECK(blocks * cut.pieces <= piece_tickets(device));
          if (blocks >= device) CHECK(cut.pieces == 1);
          for (const bool again : {false, true}) {
            const SumCut known = known_cut(blocks, steps, device, cost);
            INFO("again " << again);
            CHECK((known.pieces == cut.pieces && known.each == cut.each));
          }
        }
  CHECK(piece_floats(132) == piece_tickets(132) * 128 * 128);
}

TEST_CASE("tuning: the last layers of a ResNet-18 on 32 images, and the first of cnn on 32") {
  const auto check = [](const Shaped& got, std::int64_t blocks, int tiles) {
    INFO(got.kernel);
    CHECK(got.blocks == blocks);
    CHECK(got.tiles == tiles);
  };
  check(product("layer4", 512, 512, 288, false), 128, 36);  // 16 blocks uncut
  check(product("layer3", 2048, 256, 144, false), 128, 36);
  check(product("fc1", 32, 512, 196, false), 112, 7);  // 4 blocks uncut
  check(product("fc1 S", 32, 16, 196, false), 40, 5);  // 1 block uncut
  check(product("large", 8192, 4096, 256, true), 2048, 256);
  CHECK(BackwardCut(512, 512, 16, false, multiprocessors).parts > 1);  // dS and dB of layer4: 1 block uncut
}

TEST_CASE("tuning: the gradient of max-pooling has threads for a large device, or few outputs to look at") {
  struct Pool {
    std::int64_t channels, pixels;
  };
  for (const Pool& pool :
       {Pool{32, 28 * 28}, {64, 14 * 14}, {64, 16 * 16}})  // of cnn, and of a ResNet's stem
    for (const int batch : {1, 10, 32, 128}) {
      const std::int64_t planes = batch * pool.channels, bands = pool_bands(planes, pool.pixels),
                         blocks = (planes * bands + 255) / 256;
      INFO(batch << " images, " << pool.channels << " channels of " << pool.pixels << " pixels: " << bands
                 << " bands");
      CHECK((blocks >= multiprocessors || pool.pixels / 4 <= longest_loop || bands == pool.pixels / 4));
      CHECK(bands <= pool.pixels / 4);
    }
  CHECK(pool_bands(1, 3) == 1);
  CHECK(pool_bands(32 * 32, 28 * 28) == 64);
  CHECK(pool_bands(1 << 20, 28 * 28) == 1);
}

TEST_CASE("tuning: the tile of a product goes by its rows and columns") {
  const auto is = [](ProductTile tile, int rows, int cols) { return tile.rows == rows && tile.cols == cols; };
  CHECK(is(product_tile(32, 512), 32, 128));
  CHECK(is(product_tile(32, 64), 64, 64));
  CHECK(is(product_tile(33, 512), 64, 64));
  CHECK(is(product_tile(4096, 64), 64, 64));
  CHECK(is(product_tile(65, 65), 128, 128));
}
