#pragma once
// Parameter updates of optimizers, one pass over the parameter each, many parameters in a launch.

#include <loru/cuda/ops/map.cuh>
#include <loru/ops/rules.hpp>

namespace loru::cuda {

namespace detail {

/// The rule with the gradient's factor that a kernel before has written, if there is one.
template <class Rule>
__device__ Rule scaled(Rule rule, const double* scale) {
  if (scale) rule.c = static_cast<decltype(rule.c)>(*scale);
  return rule;
}

/// The rule of all elements of sgd_update.
template <class T>
struct SgdOfAll {
  SgdRule<T> rule;
  const double* scale = nullptr;
};

/// One element of sgd_update; v is null without momentum.
template <class T>
struct SgdElement {
  T *w, *v;
  const T* g;
  __device__ void operator()(Index i, const SgdOfAll<T>& all) const {
    const SgdRule<T> rule = scaled(all.rule, all.scale);
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
  const double* scale = nullptr;
  __device__ void operator()(Index i) const { scaled(rule, scale)(w[i], g[i], m[i], v[i]); }
};

template <class T>
SgdElement<T> sgd_element(Array<T>& w, const Array<T>& g, Array<T>& velocity, const SgdStep& o) {
  require_same_shape("sgd_update", w, g);
  const bool moving = o.momentum != 0.0;
  if (moving) require_same_shape("sgd_update", w, velocity);
  return {w.data(), moving ? velocity.data() : nullptr, g.data()};
}

template <class T>
AdamElement<T> adam_element(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const AdamStep& o) {
  require_same_shape("adam_update", w, g);
  require_same_shape("adam_update", w, m);
  require_same_shape("adam_update", w, v);
  return {AdamRule<T>(o), w.data(), m.data(), v.data(), g.data()};
}

/// One launch for some dozens of parameters; element(update) gives the loop of each.
template <class T, class F, class Element, class Common = Nothing>
void update_all(const char* name, const std::vector<ParameterUpdate<T, Cuda>>& all, const Element& element,
                const Common& common = {}) {
  std::vector<F> loops;
  std::vector<Index> sizes;
  for (const auto& u : all) {
    loops.push_back(element(u));
    sizes.push_back(u.w->size());
  }
  for_each_of(name, loops, sizes, common);
}

}  // namespace detail

template <class T>
void sgd_update(Array<T>& w, const Array<T>& g, Array<T>& velocity, const SgdStep& o) {
  sgd_update_all<T>({{.w = &w, .g = &g, .first = &velocity}}, o, {});
}

template <class T>
void adam_update(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const AdamStep& o) {
  detail::for_each("adam_update", w.size(), detail::adam_element(w, g, m, v, o));
}

template <class T>
void sgd_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const SgdStep& o,
                    const Array<double>& scale) {
  detail::update_all<T, detail::SgdElement<T>>(
      "sgd_update", all,
      [&](const ParameterUpdate<T, Cuda>& u) { return detail::sgd_element(*u.w, *u.g, *u.first, o); },
      detail::SgdOfAll<T>{SgdRule<T>(o), scale.data()});
}

template <class T>
void adam_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const AdamStep& o,
                     const Array<double>& scale) {
  detail::require_not_recording("adam_update");  // its rates follow the step's number
  detail::update_all<T, detail::AdamElement<T>>("adam_update", all, [&](const ParameterUpdate<T, Cuda>& u) {
    AdamStep step = o;
    step.step = u.step;
    auto element = detail::adam_element(*u.w, *u.g, *u.first, *u.second, step);
    element.scale = scale.data();
    return element;
  });
}

}  // namespace loru::cuda
