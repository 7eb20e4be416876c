#pragma once
// Smooth activations on SIMD packets.

#include <loru/cpu/activation.hpp>
#include <loru/cpu/packet_math.hpp>

namespace loru::inline LORU_ISA::cpu {

template <std::same_as<float> T>
void gelu(Index n, const T* x, T* y) {
  using P = Packet<T>;
  map_packets<T, 1, 1>(n, {x}, {y},
                       [](const P(&in)[1], P(&out)[1]) { out[0] = pmul(in[0], NormalPacket(in[0]).phi); });
}

template <std::same_as<float> T>
void gelu_backward(Index n, const T* x, const T* dy, T* dx) {
  using P = Packet<T>;
  map_packets<T, 2, 1>(n, {x, dy}, {dx}, [](const P(&in)[2], P(&out)[1]) {
    const NormalPacket normal(in[0]);
    const P density = pmul(pset1<P>(0.39894228040143268f), normal.power);  // 1 / √(2π)
    out[0] = pmul(in[1], pmadd(in[0], density, normal.phi));
  });
}

template <std::floating_point T>
void swiglu(Index n, const T* gate, const T* up, T* y) {
  using P = Packet<T>;
  map_packets<T, 2, 1>(n, {gate, up}, {y}, [](const P(&in)[2], P(&out)[1]) {
    out[0] = pmul(pmul(in[0], logistic_packet<T>(in[0])), in[1]);
  });
}

template <std::floating_point T>
void swiglu_backward(Index n, const T* gate, const T* up, const T* dy, T* dgate, T* dup) {
  using P = Packet<T>;
  map_packets<T, 3, 2>(n, {gate, up, dy}, {dgate, dup}, [](const P(&in)[3], P(&out)[2]) {
    const P s = logistic_packet<T>(in[0]), silu = pmul(in[0], s);
    out[0] = pmul(pmul(in[2], in[1]), padd(s, pmul(silu, psub(pset1<P>(T(1)), s))));
    out[1] = pmul(in[2], silu);
  });
}

}  // namespace loru::inline LORU_ISA::cpu
