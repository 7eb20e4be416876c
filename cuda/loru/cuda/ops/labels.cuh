#pragma once
// Whether labels, or numbers of rows, lie within their range.

#include <optional>

#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/ops/fold.cuh>

namespace loru::cuda::detail {

/// The place of a label outside the classes, else M.
struct BadLabel {
  const std::int32_t* labels;
  Index m, classes;
  __device__ Index operator()(Index i) const { return labels[i] < 0 || labels[i] >= classes ? i : m; }
};

struct LabelAt {
  Index place;
  std::int32_t label;
};

/// The first label outside [0, classes), if there is one; waits for the stream.
inline std::optional<LabelAt> first_outside(const char* where, const Labels& labels, Index classes) {
  const Index m = labels.size();
  const Index bad = read(fold(where, m, m, Least{}, BadLabel{labels.data(), m, classes}));
  if (bad == m) return {};
  std::int32_t label = 0;
  copy_bytes(&label, labels.data() + bad, sizeof label, cudaMemcpyDeviceToHost);
  synchronize();
  return LabelAt{bad, label};
}

}  // namespace loru::cuda::detail
