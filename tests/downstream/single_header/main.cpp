// What a program of one file may do with room core alone. It prints 10 and the first draw of seed 0,
// which is philox4x32-10's published answer for zeros.
#include <cstdio>

#include <loru_core.hpp>

int main() {
  const loru::Tensor<float> x({2, 2}, {1, 2, 3, 4});
  float sum = 0;
  for (const float value : x.span()) sum += value;
  loru::rng::Stream stream(0);
  std::printf("loru %s: %.0f %08x\n", loru::version, static_cast<double>(sum), stream.bits());
}
