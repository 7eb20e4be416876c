#pragma once
// Twins of CUDA's own warp functions: __syncwarp and the shuffles, by their names.
#include "emulator/emulator.hpp"

namespace loru::emulator {

template <class T>
struct Shuffle {
  T in, out;
  int source;  // the lane whose value this one takes

  static void all(Shuffle* const* lanes) {
    for (int l = 0; l < 32; ++l) {
      if (lanes[l] == nullptr) continue;
      const int source = lanes[l]->source;
      if (lanes[source] == nullptr)
        fail<Fault>("shuffle: lane ", l, " reads lane ", source, ", which is not in the mask");
      lanes[l]->out = lanes[source]->in;
    }
  }
};

template <class T>
T shuffle(unsigned mask, T value, int source, const Site& site) {
  Shuffle<T> mine{value, value, source};
  block->warp_operation(mask, mine, Shuffle<T>::all, site);
  return mine.out;
}

}  // namespace loru::emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, LORU_HERE) {
  const int me = loru::emulator::block->lane();
  return loru::emulator::shuffle(mask, value, me / width * width + (lane & (width - 1)),
                                 {"__shfl_sync", file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, LORU_HERE) {
  const int me = loru::emulator::block->lane(), other = me ^ bits;
  const int source = other / width > me / width ? me : other;
  return loru::emulator::shuffle(mask, value, source, {"__shfl_xor_sync", file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, LORU_HERE) {
  const int me = loru::emulator::block->lane(), down = static_cast<int>(delta);
  const int source = me % width + down < width ? me + down : me;
  return loru::emulator::shuffle(mask, value, source, {"__shfl_down_sync", file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, LORU_HERE) {
  const int me = loru::emulator::block->lane(), up = static_cast<int>(delta);
  const int source = me % width >= up ? me - up : me;
  return loru::emulator::shuffle(mask, value, source, {"__shfl_up_sync", file, line});
}
inline void __syncwarp(unsigned mask = ~0U, LORU_HERE) {
  struct Nothing {
  } mine;
  loru::emulator::block->warp_operation<Nothing>(
      mask, mine, [](Nothing* const*) { loru::emulator::block->synchronised_warp(); },
      {"__syncwarp", file, line});
}
