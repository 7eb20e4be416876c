#pragma once
// Parameter updates of optimizers, one pass over the parameter each, many parameters in a launch.

#include <loru/cuda/ops/map.cuh>
#include <loru/ops/rules.hpp>

namespace loru::cuda {

namespace detail {

/// One element of sgd_update; v is null without momentum.
template <class T>
struct SgdElement {
  SgdRule<T> rule;
  T *w, *v;
  const T* g;
  __device__ void operator()(Index i) const {
    if (v)
      rule(w[i], g[i], v[i]);
    else
      rule(w[i], g[i]);
  }
};

template <class T>
struct AdamElement {
  AdamRule<T> rule;
  T *w, *m, *v;
  const T* g;
  __device__ void operator()(Index i) const { rule(w[i], g[i], m[i], v[i]); }
};

template <class T>
SgdElement<T> sgd_element(Array<T>& w, const Array<T>& g, Array<T>& velocity, const SgdStep& o) {
  require_same_shape("sgd_update", w, g);
  const bool moving = o.momentum != 0.0;
  if (moving) require_same_shape("sgd_update", w, velocity);
  return {SgdRule<T>(o), w.data(), moving ? velocity.data() : nullptr, g.data()};
}

template <class T>
AdamElement<T> adam_element(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const AdamStep& o) {
  require_same_shape("adam_update", w, g);
  require_same_shape("adam_update", w, m);
  require_same_shape("adam_update", w, v);
  return {AdamRule<T>(o), w.data(), m.data(), v.data(), g.data()};
}

/// One launch for some dozens of parameters; element(update) gives the loop of each.
template <class T, class F, class Element>
void update_all(const char* name, const std::vector<ParameterUpdate<T, Cuda>>& all, const Element& element) {
  std::vector<F> loops;
  std::vector<Index> sizes;
  for (const auto& u : all) {
    loops.push_back(element(u));
    sizes.push_back(u.w->size());
  }
  for_each_of(name, loops, sizes);
}

}  // namespace detail

template <class T>
void sgd_update(Array<T>& w, const Array<T>& g, Array<T>& velocity, const SgdStep& o) {
  detail::for_each("sgd_update", w.size(), detail::sgd_element(w, g, velocity, o));
}

template <class T>
void adam_update(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const AdamStep& o) {
  detail::for_each("adam_update", w.size(), detail::adam_element(w, g, m, v, o));
}

template <class T>
void sgd_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const SgdStep& o) {
  detail::update_all<T, detail::SgdElement<T>>("sgd_update", all, [&](const ParameterUpdate<T, Cuda>& u) {
    return detail::sgd_element(*u.w, *u.g, *u.first, o);
  });
}

template <class T>
void adam_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const AdamStep& o) {
  detail::update_all<T, detail::AdamElement<T>>("adam_update", all, [&](const ParameterUpdate<T, Cuda>& u) {
    AdamStep step = o;
    step.step = u.step;
    return detail::adam_element(*u.w, *u.g, *u.first, *u.second, step);
  });
}

}  // namespace loru::cuda
