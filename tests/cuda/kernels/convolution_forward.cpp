// Forward passes of convolutions: the kernels of dense layers on windows.
#include "cuda/kernels/convolution.hpp"
#include "cuda/support/test_queue.hpp"

using loru::cuda::ForwardForm;
using namespace loru_test;

namespace {

template <class Math>
struct Problem : ForwardProblem<Math> {
  loru::cuda::ConvShape shape;
  Guarded<typename Math::Element> image;

  Problem(const ConvCase& q, Fill kind)
      : ForwardProblem<Math>({shape_of(q).pixels(), q.m, shape_of(q).window(), q.r, 0, q.offset}, kind),
        shape(shape_of(q)),
        image(shape.input_pixels(), q.c, 0, q.offset) {
    std::mt19937 random(5);
    image.fill(kind, random, sizeof(typename Math::Element) == 2 ? 1 : 2);
    write_windows(shape, image, this->x);
  }
};

template <class Math>
void check(ForwardForm form) {
  int count = 0;
  for (const auto& q : conv_cases) {
    const int stages = std::min(count++ % 2 == 0 ? 4 : 3, loru::cuda::forward_stages(most_block_memory()));
    for (const Fill kind : all_fills) {
      INFO("case " << count << ", stages " << stages << (kind == Fill::integers ? ", integers" : ", random"));
      compare_in_every_order([&](Comparison& seen) {
        Problem<Math> p(q, kind);
        const TestQueue queue(few_multiprocessors, stages);
        const loru::cuda::Client<typename Math::Element> client{p.A.read(), p.B.read(), p.s};
        loru::cuda::lora_forward<Math>(form, windows_of(p.image.read().data, p.shape), p.W.read(), client,
                                       p.with_bias ? p.bias.data() : nullptr, p.relu, p.y.view(), p.S.view(),
                                       queue);
        p.compare(seen);
        seen.intact(p.image);
      });
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("convolution: forward in one pass", "", loru::cuda::InBf16, loru::cuda::InTf32,
                   loru::cuda::InFloat) {
  check<TestType>(ForwardForm::one_pass);
}
TEMPLATE_TEST_CASE("convolution: forward, split at S", "", loru::cuda::InBf16, loru::cuda::InTf32,
                   loru::cuda::InFloat) {
  check<TestType>(ForwardForm::split);
}

TEMPLATE_TEST_CASE("convolution: forward without factors", "", loru::cuda::InBf16, loru::cuda::InTf32,
                   loru::cuda::InFloat) {
  for (const auto& q : conv_cases)
    compare_in_every_order([&](Comparison& seen) {
      Problem<TestType> p(q, Fill::integers);
      loru::cuda::conv_forward<TestType>(p.shape, p.image.read().data, p.W.read(), p.y.view(),
                                         TestQueue(few_multiprocessors));
      for (int i = 0; i < p.y.rows(); ++i)
        for (int j = 0; j < q.m; ++j) {
          double sum = 0;
          for (int k = 0; k < p.x.cols(); ++k) sum += p.x.value(i, k) * p.W.value(j, k);
          seen.see(p.y.value(i, j), as_element<TestType>(sum), 0, "y", i, j);
        }
      seen.intact(p.image, p.W, p.y);
    });
}

TEST_CASE("convolution: division by constants of the launch") {
  const auto check = [](int d, int n) {
    const loru::cuda::Divisor by(d);
    const int q = by.quotient(n);
    return q == n / d && by.remainder(n, q) == n % d;
  };
  std::mt19937 random(1);
  constexpr int most = 0x7fffffff;
  for (const int d : {1, 2, 3, 5, 7, 9, 16, 27, 641, 65535, 65536, 65537, 1 << 30, most - 1, most}) {
    INFO("by " << d);
    bool all = true;
    for (const int n : {0, 1, d - 1, d, most - 1, most}) all = all && check(d, n);
    for (int i = 0; i < 1000; ++i) {
      const int n = static_cast<int>(random() >> 1), multiple = n / d * d;
      all = all && check(d, n) && check(d, multiple) && check(d, multiple > 0 ? multiple - 1 : 0);
    }
    CHECK(all);
  }
}
