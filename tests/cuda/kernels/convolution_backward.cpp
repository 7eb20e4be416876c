// Gradients of convolutions, with and without factors.
#include "cuda/kernels/convolution.hpp"

using namespace loru_test;

namespace {

/// x of the problem is the windows written out; dx is the image's, not theirs.
template <class Math>
struct Problem : BackwardProblem<Math> {
  using T = typename Math::Element;
  cuda::ConvShape shape;
  Guarded<T> image, image_gradient;

  Problem(const ConvCase& q, Fill kind)
      : BackwardProblem<Math>({shape_of(q).pixels(), q.m, shape_of(q).window(), q.r, 0, q.offset}, kind),
        shape(shape_of(q)),
        image(shape.input_pixels(), q.c, 0, q.offset),
        image_gradient(shape.input_pixels(), q.c, 0, q.offset) {
    std::mt19937 random(5);
    image.fill(kind, random, 2);
    write_windows(shape, image, this->x);
  }

  cuda::Backward<T> arguments() {
    cuda::Backward<T> all = BackwardProblem<Math>::arguments();
    all.x = image.read(), all.dx = image_gradient.view();
    return all;
  }

  /// dx from all output pixels that an input pixel is under, by W and, for r > 0 ranks, the dS that was
  /// stored and A.
  void compare_dx(Comparison& seen, int r) const {
    const auto of = [](const auto& t, int i, int j) { return operand<Math>(t.value(i, j)); };
    std::vector<std::vector<std::pair<int, int>>> over(static_cast<std::size_t>(shape.input_pixels()));
    for (int i = 0; i < shape.pixels(); ++i)
      for (int place = 0; place < shape.places(); ++place)
        if (const int pixel = pixel_under(shape, i, place); pixel >= 0)
          over[static_cast<std::size_t>(pixel)].emplace_back(i, place);
    for (int pixel = 0; pixel < shape.input_pixels(); ++pixel) {
      const auto& here = over[static_cast<std::size_t>(pixel)];
      const int each = shape.m + r;
      for (int j = 0; j < shape.c; ++j)
        this->see(
            seen, image_gradient.value(pixel, j), static_cast<int>(here.size()) * each, 1, stored_unit<Math>,
            [&](int k) {
              const auto [i, place] = here[static_cast<std::size_t>(k / each)];
              const int o = k % each, column = place * shape.c + j;
              return o < shape.m ? of(this->dy, i, o) * of(this->W, o, column)
                                 : of(this->dS, i, o - shape.m) * of(this->A, o - shape.m, column);
            },
            "dx", pixel, j);
    }
  }
};

}  // namespace

TEMPLATE_TEST_CASE("convolution: backward", "", cuda::InBf16, cuda::InTf32, cuda::InFloat) {
  for (const auto& q : conv_cases)
    for (const Fill kind : all_fills) {
      INFO(q.h << " x " << q.w << ", " << q.c << " to " << q.m << " channels, stride " << q.stride
               << (kind == Fill::integers ? ", integers" : ", random"));
      for (const auto form : {cuda::BackwardForm::split, cuda::BackwardForm::apart})
        compare_in_every_order([&](Comparison& seen) {
          Problem<TestType> p(q, kind);
          const auto fits = cuda::fitting_form<TestType>(form, q.r, most_block_memory());
          cuda::lora_conv_backward<TestType>(p.shape, p.arguments(), fits, p.workspace.data(), p.queue);
          p.compare_factors(seen);
          p.compare_dx(seen, q.r);
          seen.intact(p.dy, p.image, p.W, p.A, p.B, p.S, p.image_gradient, p.dS);
          seen.intact(p.dA, p.dB);
        });
    }
}

TEMPLATE_TEST_CASE("convolution: backward without factors", "", cuda::InBf16, cuda::InTf32, cuda::InFloat) {
  for (const auto& q : conv_cases) {
    INFO(q.h << " x " << q.w << ", " << q.c << " to " << q.m << " channels, stride " << q.stride);
    compare_in_every_order([&](Comparison& seen) {
      Problem<TestType> p(q, Fill::integers);
      const int pixels = p.shape.pixels(), window = p.shape.window();
      Guarded<float> dW(q.m, window);
      cuda::conv_backward_dx<TestType>(p.shape, p.dy.read(), p.W.read(), {}, {}, p.image_gradient.view(),
                                       p.queue);
      cuda::conv_backward_dW<TestType>(p.shape, p.dy.read(), p.image.read().data, dW.view(), p.queue);
      p.compare_dx(seen, 0);
      for (int o = 0; o < q.m; ++o)
        for (int k = 0; k < window; ++k) {
          double sum = 0;
          for (int i = 0; i < pixels; ++i) sum += p.dy.value(i, o) * p.x.value(i, k);
          seen.see(dW.value(o, k), sum, 0, "dW", o, k);
        }
      seen.intact(p.dy, p.image, p.W, p.image_gradient);
      seen.intact(dW);
    });
  }
}

TEST_CASE("convolution: many pixels are added in parts") {
  const ConvCase q{1, 30, 36, 4, 12, 3, 3, 1, 1, 1, 4};
  compare_in_every_order([&](Comparison& seen) {
    Problem<cuda::InTf32> p(q, Fill::integers);
    cuda::Backward<float> wanted = p.arguments();
    wanted.dx = {};
    const auto form = cuda::fitting_form<cuda::InTf32>(cuda::BackwardForm::split, q.r, most_block_memory());
    cuda::lora_conv_backward<cuda::InTf32>(p.shape, wanted, form, p.workspace.data(), p.queue);
    p.compare_factors(seen);
  });
}
