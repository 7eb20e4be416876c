#pragma once
// Omniglot: characters of many alphabets, each drawn once by each of twenty people; a client is a writer.

#include <cstddef>
#include <span>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/idx_dataset.hpp>
#include <loru/data/locate.hpp>
#include <loru/data/select.hpp>

namespace loru::inline LORU_ISA::data {

/// A small set of Omniglot (Lake, Salakhutdinov and Tenenbaum, Science 2015): 28x28 grey; labels are
/// characters, groups are writers. A character's drawings come in the order of its writers. Taking every
/// fifth drawing for the test would therefore take all drawings of every fifth writer. So the place moves on
/// by one with each character: drawing k of character c is test if (k + c) % 5 == 4. Every writer and every
/// character is then in both halves.
inline Split omniglot(const Path& dir = {}, std::span<const Path> also = {}) {
  const FileSet files{"omniglot",
                      {"images-idx3-ubyte", "labels-idx1-short", "writers-idx1-short"},
                      {},
                      {},
                      "`./dev data omniglot`"};
  const Folder folder = locate(files, dir, also);
  const Path images = folder.file(files.files[0]);
  Dataset all = read_idx_images("omniglot", images);
  const Index count = detail::image_count(all);
  all.targets = read_idx_numbers("label", folder.file(files.files[1]), count, images, 0);
  all.groups = read_idx_numbers("writer", folder.file(files.files[2]), count, images, 0);
  all.classes = detail::one_past_largest(all.labels());
  // Mean and deviation of the 3,872 training drawings of the set of 242 characters.
  all.normalisation = {1.0 / 255.0, {0.0805}, {0.2359}};
  all.check();

  std::vector<Index> drawings(static_cast<std::size_t>(all.classes), 0), train, test;
  for (Index i = 0; i < count; ++i) {
    const Index k = drawings[static_cast<std::size_t>(all.label(i))]++;
    ((k + all.label(i)) % 5 == 4 ? test : train).push_back(i);
  }
  return {select(all, train), select(all, test)};
}

}  // namespace loru::data
