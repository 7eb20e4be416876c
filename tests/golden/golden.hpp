#pragma once
// Reads the golden files and compares with them: per tensor max|a - b| / max|b|.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <string>
#include <string_view>

#include <loru/io/safetensors.hpp>
#include <loru/nn/nn.hpp>

#include "support/catch.hpp"

namespace golden {

using namespace loru;

template <class T>
inline constexpr double tolerance = std::same_as<T, float> ? 1e-4 : 1e-9;

/// The file of a case computed in T.
template <class T>
io::Archive load(const std::string& name) {
  const char* kind = std::same_as<T, float> ? ".f32" : ".f64";
  return io::load(std::string(LORU_SOURCE_DIR "/tests/golden/") + name + kind + ".safetensors");
}

/// A number of the metadata.
inline double number(const io::Archive& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  require<DataError>(found != file.metadata().end(), file.origin(), ": expected metadata '", key, "'");
  return std::stod(found->second);
}
inline Index integer(const io::Archive& file, std::string_view key) {
  return static_cast<Index>(number(file, key));
}

template <class T>
Tensor<T> read(const io::Archive& file, const std::string& name, Layout layout = Layout::row_major) {
  return to_layout(file.get<T>(name), layout);
}

/// Class labels, which PyTorch keeps in 64 bits.
inline Tensor<std::int32_t> read_labels(const io::Archive& file, const std::string& name) {
  const Tensor<std::int64_t> wide = file.get<std::int64_t>(name);
  Tensor<std::int32_t> labels(wide.shape());
  for (Index i = 0; i < wide.size(); ++i) labels.data()[i] = static_cast<std::int32_t>(wide.data()[i]);
  return labels;
}

/// max|a - b| / max|b| over the elements; infinite if they cannot be compared.
template <class T>
double difference(const Tensor<T>& got, const Tensor<T>& expected) {
  if (!got || got.shape() != expected.shape()) return std::numeric_limits<double>::infinity();
  const Tensor<T> a = to_layout(got, Layout::row_major), b = to_layout(expected, Layout::row_major);
  double error = 0.0, scale = 0.0;
  for (Index i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    if (!std::isfinite(x)) return std::numeric_limits<double>::infinity();
    error = std::max(error, std::abs(x - y));
    scale = std::max(scale, std::abs(y));
  }
  return error == 0.0 ? 0.0 : error / scale;
}

template <class T>
void compare(const io::Archive& file, const std::string& name, const Tensor<T>& got) {
  INFO(file.origin() << ": " << name);
  CHECK(difference(got, read<T>(file, name)) <= tolerance<T>);
}

/// Sets every parameter and buffer of the model to the file's tensor of that name. `step` goes before the
/// name if there is such a tensor: in training files the trained ones belong to a step, the frozen ones do
/// not.
template <class T>
void set_parameters(nn::Model<T>& model, const io::Archive& file, const std::string& step = "") {
  const auto tensor = [&](const std::string& name, Layout layout) {
    return read<T>(file, file.contains(step + name) ? step + name : name, layout);
  };
  for (auto& p : model.parameters()) p.value.set_value(tensor(p.name, p.value.value().layout()));
  for (auto& b : model.buffers()) {
    const Tensor<T> value = tensor(b.name, b.value.layout());
    REQUIRE(value.shape() == b.value.shape());
    std::copy(value.span().begin(), value.span().end(), b.value.data());
  }
}

/// Names of the file that begin so.
inline std::size_t count(const io::Archive& file, std::string_view prefix) {
  std::size_t n = 0;
  for (const std::string& name : file.names()) n += name.starts_with(prefix);
  return n;
}

/// Runs a layer forward and backward in both layouts and compares output and all gradients of the file.
template <class T>
void check_layer(nn::Model<T> layer, const io::Archive& file, bool training = false) {
  for (Layout layout : {Layout::row_major, Layout::channels_last}) {
    nn::Model<T> model = layer;
    set_parameters(model, file);
    const Variable<T> x(read<T>(file, "x", layout), true);
    const Variable<T> y = model(x, nn::Pass{.training = training});
    compare(file, "y", y.value());
    y.backward(read<T>(file, "dy"));
    compare(file, "dx", x.gradient());
    const auto parameters = model.trained_parameters();
    for (const auto& p : parameters) compare(file, "d_" + p.name, p.value.gradient());
    CHECK(parameters.size() == count(file, "d_"));
    for (const auto& b : model.buffers()) compare(file, "updated." + b.name, b.value);
  }
}

}  // namespace golden
