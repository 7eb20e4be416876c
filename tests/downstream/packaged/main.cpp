// A program that uses what loru takes from others: zlib, nlohmann-json and Eigen, here in this order.
// It prints 4.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <loru/data/file.hpp>
#include <loru/io/json.hpp>
#include <loru/linalg/eigen.hpp>

int main() {
  // gzip of `4`: a header, a stored block, its CRC-32 and its length (RFC 1951, RFC 1952).
  const std::vector<std::uint8_t> gzip{0x1f, 0x8b, 8,    0,    0,    0,    0,    0,    0, 0xff, 1, 1,
                                       0,    0xfe, 0xff, 0x34, 0x38, 0x1b, 0xb6, 0xf3, 1, 0,    0, 0};
  const auto bytes = loru::data::gunzip(gzip, "4.gz");
  const auto json = loru::io::parse_json(std::string(bytes.begin(), bytes.end()), "4.gz");
  const double four = loru::io::JsonPlace(json, "4.gz").number();

  const loru::Tensor<double> x({2, 2}, {1, 2, 3, four});
  std::printf("the last of a matrix: %.0f\n", loru::linalg::map(x.data(), 2, 2, 2)(1, 1));
}
