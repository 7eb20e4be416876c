#pragma once
// Options and results of ops, shared by every device. Backend ops take options without defaults of their own.

#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA {

/// How the factors of a matrix product are read.
struct MatmulOptions {
  Op a = Op::none;
  Op b = Op::none;
};

/// Geometry of a 2-d convolution, equal in both directions.
struct ConvOptions {
  Index stride = 1;
  Index padding = 0;
  Index dilation = 1;
  Index groups = 1;
};

/// The products of a layer: y of x and W, dx of dy and W, dW of dy and x.
enum class Direction : unsigned char { forward, input_gradient, weight_gradient };

/// Geometry of a 2-d pooling window, equal in both directions.
struct PoolOptions {
  Index kernel = 2;
  Index stride = 2;
  Index padding = 0;
};

/// One step of stochastic gradient descent.
struct SgdStep {
  double learning_rate = 0.0;
  double momentum = 0.0;
  double weight_decay = 0.0;
  bool nesterov = false;
  /// Multiplies the gradient before anything else.
  double gradient_scale = 1.0;
};

/// One step of Adam, or of AdamW if the weight decay is decoupled. `step` counts from 1.
struct AdamStep {
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  bool decoupled = false;
  Index step = 1;
  /// Multiplies the gradient before anything else.
  double gradient_scale = 1.0;
};

/// A parameter, its gradient, and its optimizer's state: the velocity of SGD, or the two moments and the step
/// of Adam.
template <class T, class D = Cpu>
struct ParameterUpdate {
  Tensor<T, D>* w = nullptr;
  const Tensor<T, D>* g = nullptr;
  Tensor<T, D>*first = nullptr, *second = nullptr;
  Index step = 1;
};

/// Which graph computes y = x·(W + s·B·A)ᵀ and its gradients (docs/architecture.md, low-rank arithmetic).
enum class Plan : unsigned char {
  factored,       ///< y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ, S = x·Aᵀ kept for the backward pass
  composed,       ///< W_eff = W + s·B·A once; factor gradients from x and dy through S and dS
  composed_full,  ///< the same; factor gradients projected from the full dW = dyᵀ·x
};

inline const char* to_string(Plan plan) {
  switch (plan) {
    case Plan::factored: return "factored";
    case Plan::composed: return "composed";
    case Plan::composed_full: return "composed_full";
  }
  return "?";
}

/// Output of max_pool2d and, per output element, the offset of the winning input pixel inside its image (h ·
/// W + w).
template <class T, class D = Cpu>
struct MaxPool {
  Tensor<T, D> output;
  Tensor<std::int32_t, D> winners;
};

/// Mean, biased variance and 1 / √(variance + ε), per channel (C) or per image and group (N, G).
template <class T, class D = Cpu>
struct Moments {
  Tensor<T, D> mean, variance, inverse_deviation;
};

/// The factor that makes a variance of n values unbiased; one value has no unbiased variance and keeps the
/// biased one.
inline double unbiased_factor(Index n) {
  return n > 1 ? static_cast<double>(n) / (static_cast<double>(n) - 1.0) : 1.0;
}

/// A batch normalised with its own moments, and these.
template <class T, class D = Cpu>
struct BatchNormalised {
  Tensor<T, D> y;
  Moments<T, D> moments;
};

/// What follows an op in the same pass over its result z: y = z + residual if there is one, then max(y, 0) if
/// `relu`. X is a tensor or a variable.
template <class X>
struct Epilogue {
  bool relu = false;
  X residual{};  ///< of z's shape, or empty
};

/// Where a gradient passes backward through an epilogue.
enum class Gate : unsigned char {
  open,    ///< everywhere: there was no ReLU
  output,  ///< where the result y is positive
  input,   ///< where z is positive; z is computed again: a ReLU and no residual, y need not be kept
};

/// Gradients of a normalisation with respect to its input, γ, β and, behind Gate::output, the residual.
template <class T, class D = Cpu>
struct NormGradients {
  Tensor<T, D> dx, dgamma, dbeta, residual;
};

/// Gradients of a bias added to rows of features; dx is the residual's, too.
template <class T, class D = Cpu>
struct BiasGradients {
  Tensor<T, D> dx, dbias;
};

/// A mean loss (shape ()) and what its backward pass needs (cross-entropy: the probabilities).
template <class T, class D = Cpu>
struct LossValue {
  Tensor<T, D> loss, kept;
};

/// Output y of a low-rank layer and low = s·x·Aᵀ, scaled, which its backward pass needs.
template <class T, class D = Cpu>
struct LowrankFeatures {
  Tensor<T, D> y, low;
};

/// Which gradients of a low-rank layer are needed.
struct LowrankWanted {
  bool dx = true, da = true, db = true;
};

/// Gradients of a low-rank layer; those not wanted are empty.
template <class T, class D = Cpu>
struct LowrankGradients {
  Tensor<T, D> dx, da, db;
};

/// Extent of a window op's output: floor((in + 2·padding − dilation·(kernel − 1) − 1) / stride) + 1.
/// Throws ShapeError if the window does not fit.
inline Index window_extent(const char* where, Index in, Index kernel, Index stride, Index padding,
                           Index dilation) {
  require<ShapeError>(stride > 0 && dilation > 0 && kernel > 0 && padding >= 0, where,
                      ": expected positive kernel, stride and dilation and padding >= 0, got ", kernel, ", ",
                      stride, ", ", dilation, ", ", padding);
  const Index reach = in + 2 * padding - dilation * (kernel - 1) - 1;
  require<ShapeError>(reach >= 0, where, ": window of ", dilation * (kernel - 1) + 1, " does not fit into ",
                      in, " + 2·", padding);
  return reach / stride + 1;
}

/// Shape (N, Cout, Ho, Wo) of a convolution of x (N, Cin, H, W) with w (Cout, Cin / groups, kh, kw).
inline Shape conv_shape(const Shape& x, const Shape& w, const ConvOptions& o) {
  require<ShapeError>(x.rank() == 4 && w.rank() == 4, "conv2d: expected input and weight of rank 4, got ", x,
                      " and ", w);
  require<ShapeError>(o.groups > 0 && w[0] % o.groups == 0 && x[1] == w[1] * o.groups, "conv2d: input ", x,
                      " does not fit weight ", w, " with ", o.groups, " groups");
  return {x[0], w[0], window_extent("conv2d", x[2], w[2], o.stride, o.padding, o.dilation),
          window_extent("conv2d", x[3], w[3], o.stride, o.padding, o.dilation)};
}

/// Shape (N, C, Ho, Wo) of a pooling of x (N, C, H, W).
inline Shape pool_shape(const Shape& x, const PoolOptions& o) {
  require<ShapeError>(x.rank() == 4, "max_pool2d: expected input of rank 4, got ", x);
  require<ShapeError>(2 * o.padding <= o.kernel, "max_pool2d: expected padding of at most half the kernel ",
                      o.kernel, ", got ", o.padding);
  return {x[0], x[1], window_extent("max_pool2d", x[2], o.kernel, o.stride, o.padding, 1),
          window_extent("max_pool2d", x[3], o.kernel, o.stride, o.padding, 1)};
}

}  // namespace loru::inline LORU_ISA
