#pragma once
// Parameter updates of optimizers, one pass over the parameter each, many parameters in a launch.

#include <cmath>

#include <loru/cuda/ops/map.cuh>

namespace loru::cuda {

namespace detail {

/// One element of sgd_update; v is null without momentum.
template <class T>
struct SgdElement {
  T *w, *v;
  const T* g;
  T rate, mu, decay, c;
  bool nesterov;
  __device__ void operator()(Index i) const {
    const T gradient = c * g[i] + decay * w[i];
    if (!v) {
      w[i] -= rate * gradient;
      return;
    }
    const T moved = mu * v[i] + gradient;
    v[i] = moved;
    w[i] -= rate * (nesterov ? gradient + mu * moved : moved);
  }
};

/// One element of adam_update; `rate` and `correction` hold the corrections of the moments' bias.
template <class T>
struct AdamElement {
  T *w, *m, *v;
  const T* g;
  T rate, correction, beta1, beta2, epsilon, shrink, decay, c;
  __device__ void operator()(Index i) const {
    const T gradient = c * g[i] + decay * w[i];
    m[i] = beta1 * m[i] + (T(1) - beta1) * gradient;
    v[i] = beta2 * v[i] + (T(1) - beta2) * (gradient * gradient);
    w[i] = shrink * w[i] - rate * m[i] / (std::sqrt(v[i]) * correction + epsilon);
  }
};

template <class T>
SgdElement<T> sgd_element(Array<T>& w, const Array<T>& g, Array<T>& velocity, const SgdStep& o) {
  require_same_shape("sgd_update", w, g);
  const bool moving = o.momentum != 0.0;
  if (moving) require_same_shape("sgd_update", w, velocity);
  return {w.data(),
          moving ? velocity.data() : nullptr,
          g.data(),
          static_cast<T>(o.learning_rate),
          static_cast<T>(o.momentum),
          static_cast<T>(o.weight_decay),
          static_cast<T>(o.gradient_scale),
          o.nesterov};
}

template <class T>
AdamElement<T> adam_element(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const AdamStep& o) {
  require_same_shape("adam_update", w, g);
  require_same_shape("adam_update", w, m);
  require_same_shape("adam_update", w, v);
  const double t = static_cast<double>(o.step);
  return {.w = w.data(),
          .m = m.data(),
          .v = v.data(),
          .g = g.data(),
          .rate = static_cast<T>(o.learning_rate / (1.0 - std::pow(o.beta1, t))),
          .correction = static_cast<T>(1.0 / std::sqrt(1.0 - std::pow(o.beta2, t))),
          .beta1 = static_cast<T>(o.beta1),
          .beta2 = static_cast<T>(o.beta2),
          .epsilon = static_cast<T>(o.epsilon),
          .shrink = static_cast<T>(o.decoupled ? 1.0 - o.learning_rate * o.weight_decay : 1.0),
          .decay = static_cast<T>(o.decoupled ? 0.0 : o.weight_decay),
          .c = static_cast<T>(o.gradient_scale)};
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
