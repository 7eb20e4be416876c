#pragma once
// MNIST and Fashion-MNIST by name.

#include <span>

#include <loru/core/compiled.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/idx_dataset.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

/// Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 60,000 and 10,000 images of clothes, 28x28 grey, 10
/// classes. Searched as locate says; Debian's package dataset-fashion-mnist is among the places.
LORU_INLINE Split fashion_mnist(const Path& dir = {}, std::span<const Path> also = {});

/// MNIST (LeCun, Cortes and Burges 1998): 60,000 and 10,000 handwritten digits, 28x28 grey, 10 classes.
LORU_INLINE Split mnist(const Path& dir = {}, std::span<const Path> also = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/readers_bodies.hpp>
#endif
