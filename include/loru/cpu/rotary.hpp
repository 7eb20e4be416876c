#pragma once
// Rotary positions on host tensors.

#include <loru/cpu/elementwise.hpp>
#include <loru/ops/sequence.hpp>

namespace loru::inline LORU_ISA {

/// Turns each pair (x_j, x_{j+w/2}) of each head by the angle of the row's position: x (M, heads · w), table
/// (positions, w) with w/2 cosines and w/2 sines a row. `inverse` turns back, which is the backward pass.
/// Uses x's buffer if nothing else shares it. Sources: Su et al., arXiv 2104.09864; the pairs as in Hugging
/// Face's LLaMA. Throws ShapeError.
template <Scalar T>
Tensor<T> rotary(Tensor<T> x, const Tensor<T>& table, const Sequences& sequences, bool inverse) {
  const Index width = detail::rotary_width(x, table, sequences), half = width / 2, row = x.dim(1);
  Tensor<T> y = cpu::own(std::move(x), Layout::row_major);
  T* out = y.data();
  const T* angles = table.data();
  parallel_for(sequences.count(), [&, out, angles](Index s) {
    for (Index i = sequences.first(s); i < sequences.first(s + 1); ++i) {
      const T *cosine = angles + (i - sequences.first(s) + sequences.offset) * width, *sine = cosine + half;
      for (T* head = out + i * row; head < out + (i + 1) * row; head += width)
        for (Index j = 0; j < half; ++j) {
          const T a = head[j], b = head[j + half], turn = inverse ? -sine[j] : sine[j];
          head[j] = a * cosine[j] - b * turn;
          head[j + half] = b * cosine[j] + a * turn;
        }
    }
  });
  return y;
}

}  // namespace loru::inline LORU_ISA
