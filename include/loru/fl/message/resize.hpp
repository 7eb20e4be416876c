#pragma once
// Factors of a message at another rank: from the server's ranks to a client's, and back.

#include <loru/fl/message/state.hpp>
#include <loru/lowrank/resize.hpp>

namespace loru::inline LORU_ISA::fl {

/// Brings the factors in an archive, and their controls, to these ranks, one for each factored layer of the
/// model in its order. From rank r to r', with s = alpha / r: A' = A[:r'] and B' = (r' / r)·B[:, :r'], with
/// zeros where r' > r, so that down s_k·B_k·A_k are the leading directions of s·B·A, and up s·B'·A' =
/// s_k·B_k·A_k: means of B' and A' are those of an algorithm whose clients all have rank r. A control is a
/// gradient: B's goes with r / r'.
template <class T, class D>
void resize_factors(io::Archive& archive, nn::Model<T, D>& model, std::span<const Index> ranks) {
  auto rank = ranks.begin();
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, auto&) {
    const Index wanted = *rank++;
    for (const std::string& prefix : {std::string(), control_name("")}) {
      const std::string a = prefix + nn::factor_name(layer, nn::Role::down),
                        b = prefix + nn::factor_name(layer, nn::Role::up);
      if (archive.contains(a)) archive.share(a, lowrank::resized_a(archive.get<T>(a), wanted));
      if (!archive.contains(b)) continue;
      const Tensor<T> had = archive.get<T>(b);
      const double ratio = static_cast<double>(wanted) / static_cast<double>(had.dim(1));
      archive.share(b, lowrank::resized_b(had, wanted, prefix.empty() ? ratio : 1.0 / ratio));
    }
  });
}

}  // namespace loru::inline LORU_ISA::fl
