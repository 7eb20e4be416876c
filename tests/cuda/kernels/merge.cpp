// Merging and composing: W + sum of s_k B_k A_k.
#include <vector>
#include <loru/cuda/kernels/merge.cuh>

#include "cuda/support/comparison.hpp"
#include "cuda/support/guarded.hpp"
#include "support/catch.hpp"

namespace cuda = loru::cuda;
using namespace loru_test;

namespace {

struct MergeShape {
  int m, n, r, pad = 0, offset = 0;
};
// No slice of ranks, one and more; one block and several each way; odd sizes, other alignments.
const std::vector<MergeShape> shapes{{64, 128, 16}, {1, 1, 1},       {130, 40, 3, 8},   {7, 259, 33},
                                     {65, 132, 48}, {33, 20, 17, 3}, {20, 31, 4, 0, 1}, {9, 130, 0}};

/// A layer's factors.
struct Factors {
  Guarded<float> A, B;
  float s;
  Factors(const MergeShape& q, Fill kind, std::mt19937& random, float scale)
      : A(q.r, q.n, q.pad, q.offset), B(q.m, q.r, q.pad, q.offset), s(scale) {
    A.fill(kind, random), B.fill(kind, random);
  }
  cuda::Client<float> client() const { return {A.read(), B.read(), s}; }
};

/// got = W + sum over the factors of s B A, and copy = got, rounded.
template <class E>
void compare_merged(Comparison& seen, bool exact, const Guarded<float>& W,
                    const std::vector<const Factors*>& all, const Guarded<float>& got,
                    const Guarded<E>* copy) {
  for (int i = 0; i < W.rows(); ++i)
    for (int j = 0; j < W.cols(); ++j) {
      Sum sum;
      sum.add(W.value(i, j));
      int terms = 1;
      for (const Factors* f : all)
        for (int q = 0; q < f->A.rows(); ++q, ++terms)
          sum.add(double{f->s} * f->B.value(i, q) * f->A.value(q, j));
      seen.see(got.value(i, j), sum.value, exact ? 0 : sum_bound(sum, terms), "merged", i, j);
      if (copy) seen.see(copy->value(i, j), as_bf16(got.value(i, j)), 0, "copy", i, j);
    }
}

void copy_values(const Guarded<float>& from, Guarded<float>& to) {
  for (int i = 0; i < from.rows(); ++i)
    for (int j = 0; j < from.cols(); ++j) to(i, j) = static_cast<float>(from.value(i, j));
}

template <class Body>
void for_each_shape(const Body& body) {
  for (const auto& q : shapes)
    for (const Fill kind : all_fills) {
      INFO("m " << q.m << ", n " << q.n << ", r " << q.r << ", pad " << q.pad << ", offset " << q.offset);
      compare_in_every_order([&](Comparison& seen) {
        std::mt19937 random(static_cast<unsigned>(q.m * 31 + q.n));
        Guarded<float> before(q.m, q.n, q.pad, q.offset);
        before.fill(kind, random, 9);
        body(seen, q, kind, random, before);
      });
    }
}

}  // namespace

TEST_CASE("merge in place, with a second output") {
  for_each_shape([](Comparison& seen, const MergeShape& q, Fill kind, std::mt19937& random,
                    const Guarded<float>& before) {
    const bool exact = kind == Fill::integers;
    const Factors f(q, kind, random, exact ? 0.5F : 0.3F);
    Guarded<float> W(q.m, q.n, q.pad, q.offset);
    Guarded<__nv_bfloat16> copy(q.m, q.n, q.pad, q.offset);
    copy_values(before, W);
    cuda::lora_merge(W.view(), f.client(), copy.view(), nullptr);
    compare_merged(seen, exact, before, {&f}, W, &copy);
    seen.intact(W, f.A, f.B), seen.intact(copy);
  });
}

TEST_CASE("compose leaves W as it is") {
  for_each_shape([](Comparison& seen, const MergeShape& q, Fill kind, std::mt19937& random,
                    const Guarded<float>& before) {
    const bool exact = kind == Fill::integers;
    const Factors f(q, kind, random, exact ? 0.5F : 0.3F);
    Guarded<float> W(q.m, q.n, q.pad, q.offset), composed(q.m, q.n, 1);
    copy_values(before, W);
    cuda::lora_compose(W.read(), f.client(), composed.view(), nullptr);
    compare_merged<float>(seen, exact, before, {&f}, composed, nullptr);
    for (int i = 0; i < q.m; ++i)
      for (int j = 0; j < q.n; ++j) seen.see(W.value(i, j), before.value(i, j), 0, "W", i, j);
    seen.intact(W, composed);
  });
}

TEST_CASE("merge of a cohort's factors, of different ranks") {
  for_each_shape([](Comparison& seen, const MergeShape& q, Fill kind, std::mt19937& random,
                    const Guarded<float>& before) {
    const bool exact = kind == Fill::integers;
    const Factors one(q, kind, random, exact ? 0.5F : 0.3F);
    const Factors two({q.m, q.n, q.r + 5, q.pad, q.offset}, kind, random, exact ? 2.0F : 0.7F);
    const Factors none({q.m, q.n, 0, q.pad, q.offset}, kind, random, 1.0F);
    const DeviceMemory<cuda::Client<float>> table({one.client(), none.client(), two.client()});
    const bool aligned = cuda::rows_aligned(one.A.read(), one.B.read(), two.A.read(), two.B.read());
    Guarded<float> W(q.m, q.n, q.pad, q.offset);
    copy_values(before, W);
    const cuda::Cohort<float> cohort{table.data(), 3, nullptr, 0};
    cuda::lora_merge(W.view(), cohort, aligned, cuda::Matrix<__nv_bfloat16>{}, nullptr);
    compare_merged<float>(seen, exact, before, {&one, &none, &two}, W, nullptr);
    seen.intact(W, one.A, one.B, two.A, two.B);
  });
}
