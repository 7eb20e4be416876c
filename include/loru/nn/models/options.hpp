#pragma once
// Options common to the bundled models.

#include <loru/core/fields.hpp>
#include <loru/nn/activation.hpp>
#include <loru/nn/batch_norm.hpp>
#include <loru/nn/conv2d.hpp>
#include <loru/nn/dropout.hpp>
#include <loru/nn/flatten.hpp>
#include <loru/nn/group_norm.hpp>
#include <loru/nn/linear.hpp>
#include <loru/nn/pool.hpp>
#include <loru/nn/residual.hpp>
#include <loru/nn/sequential.hpp>

namespace loru::inline LORU_ISA::nn {

enum class Norm : unsigned char { batch, group };

/// What a bundled model is built for: images (channels, height, width), classes, and its initial values.
struct ModelOptions {
  Index channels = 1, height = 28, width = 28, classes = 10;
  Norm norm = Norm::batch;
  Init init = Init::kaiming;
  std::uint64_t seed = 1;
  /// Divides the channels of the residual networks: 1 is the published width.
  Index narrow = 1;

  static constexpr auto fields() {
    using M = ModelOptions;
    return Fields{
        field("norm", &M::norm, words<Norm>({{"batch", Norm::batch}, {"group", Norm::group}}),
              "normalisation of the residual networks"),
        field("init", &M::init,
              words<Init>({{"kaiming", Init::kaiming}, {"xavier", Init::xavier}, {"zero", Init::zero}}),
              "how weights are drawn; zero, all weights and biases, is for logistic alone"),
        field("narrow", &M::narrow, range::between(1, 64), "divides the channels of the residual networks")};
  }
};

namespace detail {

/// Adds layers to a Sequential and hands each its own random stream, in order of creation.
template <class T, class D>
class Builder {
 public:
  explicit Builder(const ModelOptions& o) : options{o}, stream_{o.seed, rng::Purpose::init} {}

  Linear<T, D> linear(Index in, Index out) {
    return Linear<T, D>({.in = in, .out = out, .init = options.init}, next());
  }
  Conv2d<T, D> conv(Conv2dOptions o) {
    o.init = options.init;
    return Conv2d<T, D>(o, next());
  }
  /// The chosen norm; GroupNorm takes up to 32 groups (Wu and He), the largest count that divides the
  /// channels.
  void add_norm(Sequential<T, D>& s, const std::string& name, Index channels) {
    if (options.norm == Norm::batch) {
      s.add(name, BatchNorm2d<T, D>({.channels = channels}));
      return;
    }
    Index groups = std::min<Index>(32, channels);
    while (channels % groups != 0) --groups;
    s.add(name, GroupNorm<T, D>({.groups = groups, .channels = channels}));
  }

  const ModelOptions options;

 private:
  rng::Stream next() { return stream_.fork(layers_++); }

  rng::Stream stream_;
  std::uint32_t layers_ = 0;
};

}  // namespace detail
}  // namespace loru::inline LORU_ISA::nn
