#pragma once
// Random changes of training images: crop after padding, horizontal flip.

#include <span>
#include <string>

#include <loru/core/fields.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::data {

/// Which changes are drawn for each image. The padding is zero after normalisation, hence the mean colour.
struct Augment {
  Index pad = 0;  // crop of the image's own size from the image with a border of `pad` pixels; 0 = no crop
  bool flip = false;  // mirror left to right with probability 1/2
};

/// One drawn change: output pixel (h, w) is input pixel (h + down, w' + right), w' = flip ? W - 1 - w : w, or
/// zero outside the image.
struct Placement {
  Index down = 0, right = 0;
  bool flip = false;

  friend bool operator==(const Placement&, const Placement&) = default;
};

/// Draws the change of one image: down and right uniform in [-pad, pad], flip a fair coin.
inline Placement draw(const Augment& augment, rng::Stream& stream) {
  Placement place;
  if (augment.pad > 0) {
    place.down = stream.below(2 * augment.pad + 1) - augment.pad;
    place.right = stream.below(2 * augment.pad + 1) - augment.pad;
  }
  if (augment.flip) place.flip = (stream.bits() & 1u) != 0;
  return place;
}

/// Augment as a configuration has it: see augment_from.
struct AugmentOptions {
  std::vector<std::string> changes{};  // "crop", "flip"
  Index padding = 4;

  static constexpr auto fields() {
    constexpr Names known{[] { return std::vector<std::string>{"crop", "flip"}; }};
    return Fields{field("augment", &AugmentOptions::changes, known, "random changes of training images"),
                  field("crop_padding", &AugmentOptions::padding, range::at_least(1),
                        "of crop: pixels of the border that an image gets before it is cropped")};
  }
};

/// The changes by their names in a configuration: "crop" (with the given padding) and "flip". Throws
/// ConfigError.
inline Augment augment_from(std::span<const std::string> names, Index pad = 4) {
  Augment augment;
  for (const std::string& name : names) {
    if (name == "crop")
      augment.pad = pad;
    else if (name == "flip")
      augment.flip = true;
    else
      fail<ConfigError>("augment: expected \"crop\" or \"flip\", got \"", name, "\"");
  }
  return augment;
}

/// Writes one plane of H x W pixels: out[(h*W + w)*stride] = value(in[source of (h, w)]), zero outside the
/// image.
template <class T, class Raw, class Value>
void place_plane(T* out, Index stride, const Raw* in, Index height, Index width, const Placement& place,
                 const Value& value) {
  if (place == Placement{}) {
    if (stride == 1)
      for (Index p = 0; p < height * width; ++p) out[p] = value(in[p]);
    else
      for (Index p = 0; p < height * width; ++p) out[p * stride] = value(in[p]);
    return;
  }
  for (Index h = 0; h < height; ++h) {
    const Index y = h + place.down;
    for (Index w = 0; w < width; ++w) {
      const Index x = (place.flip ? width - 1 - w : w) + place.right;
      const bool inside = y >= 0 && y < height && x >= 0 && x < width;
      out[(h * width + w) * stride] = inside ? value(in[y * width + x]) : T(0);
    }
  }
}

}  // namespace loru::inline LORU_ISA::data
