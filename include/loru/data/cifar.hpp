#pragma once
// CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html).
//
// A file is a row of records: the label (CIFAR-100: coarse label, fine label), then 3 x 32 x 32 bytes, red,
// green and blue plane, each row-major.

#include <span>

#include <loru/core/compiled.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

/// CIFAR-10: 50,000 and 10,000 images, 3x32x32, 10 classes. `batches` < 5 trains on the first of the five
/// files alone and asks for no more. Throws ConfigError unless it lies in [1, 5].
LORU_INLINE Split cifar10(const Path& dir = {}, Index batches = 5, std::span<const Path> also = {});

/// CIFAR-100: 50,000 and 10,000 images, 3x32x32, 100 classes (the fine labels).
LORU_INLINE Split cifar100(const Path& dir = {}, std::span<const Path> also = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/readers_bodies.hpp>
#endif
