#pragma once
// Small GGUF files, built part by part.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace loru_test {

/// The content of a GGUF file. A key that is given again replaces the first.
class GgufFile {
 public:
  using Bytes = std::vector<std::byte>;

  template <class T>
  void number(const std::string& key, T value) {
    pairs_[key] = joined(of(type_of<T>), of(value));
  }
  void text(const std::string& key, const std::string& value) {
    pairs_[key] = joined(of(8u), of_text(value));
  }
  void texts(const std::string& key, const std::vector<std::string>& values) {
    Bytes all = joined(joined(of(9u), of(8u)), of(std::uint64_t{values.size()}));
    for (const std::string& value : values) all = joined(std::move(all), of_text(value));
    pairs_[key] = std::move(all);
  }
  template <class T>
  void numbers(const std::string& key, const std::vector<T>& values) {
    Bytes all = joined(joined(of(9u), of(type_of<T>)), of(std::uint64_t{values.size()}));
    for (const T value : values) all = joined(std::move(all), of(value));
    pairs_[key] = std::move(all);
  }
  /// A value as its bytes, type first.
  void raw(const std::string& key, Bytes bytes) { pairs_[key] = std::move(bytes); }

  /// `extents` as the file has them, the row's first; GGUF's number of the type.
  void tensor(const std::string& name, std::vector<std::uint64_t> extents, std::uint32_t type, Bytes data) {
    tensors_.push_back({name, std::move(extents), type, std::move(data)});
  }
  void floats(const std::string& name, std::vector<std::uint64_t> extents, const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    tensor(name, std::move(extents), 0, {bytes.begin(), bytes.end()});
  }

  Bytes bytes(std::size_t alignment = 32) const {
    Bytes out = joined(of_plain("GGUF"), of(3u));
    append(out, of(std::uint64_t{tensors_.size()}));
    append(out, of(std::uint64_t{pairs_.size()}));
    for (const auto& [key, value] : pairs_) append(out, joined(of_text(key), value));
    Bytes data;
    for (const Tensor& tensor : tensors_) {
      append(out, joined(of_text(tensor.name), of(static_cast<std::uint32_t>(tensor.extents.size()))));
      for (const std::uint64_t extent : tensor.extents) append(out, of(extent));
      append(out, joined(of(tensor.type), of(std::uint64_t{data.size()})));
      append(data, tensor.data);
      data.resize((data.size() + alignment - 1) / alignment * alignment);
    }
    if (!data.empty()) out.resize((out.size() + alignment - 1) / alignment * alignment);
    append(out, data);
    return out;
  }

  template <class T>
  static Bytes of(T value) {
    Bytes out(sizeof value);
    std::memcpy(out.data(), &value, sizeof value);
    return out;
  }
  static Bytes of_text(std::string_view text) {
    return joined(of(std::uint64_t{text.size()}), of_plain(text));
  }
  static Bytes joined(Bytes a, const Bytes& b) {
    append(a, b);
    return a;
  }

 private:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> extents;
    std::uint32_t type;
    Bytes data;
  };

  template <class T>
  static constexpr std::uint32_t type_of = std::is_same_v<T, std::uint8_t>    ? 0
                                           : std::is_same_v<T, std::int8_t>   ? 1
                                           : std::is_same_v<T, std::uint16_t> ? 2
                                           : std::is_same_v<T, std::int16_t>  ? 3
                                           : std::is_same_v<T, std::uint32_t> ? 4
                                           : std::is_same_v<T, std::int32_t>  ? 5
                                           : std::is_same_v<T, float>         ? 6
                                           : std::is_same_v<T, bool>          ? 7
                                           : std::is_same_v<T, std::uint64_t> ? 10
                                           : std::is_same_v<T, std::int64_t>  ? 11
                                                                              : 12;

  static Bytes of_plain(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  static void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

  std::map<std::string, Bytes> pairs_;
  std::vector<Tensor> tensors_;
};

}  // namespace loru_test
