#pragma once
// Symmetric operators: what Lanczos and the estimators need to know of a matrix.

#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::spectrum {

/// A symmetric P x P matrix H that is known by its products: size() is P, product(x) is H·x for a vector of
/// P numbers, and gradients() is what a product costs, in gradients of the data set that H belongs to.
template <class O, class T>
concept SymmetricOperator = requires(O& h, const O& known, std::span<const T> x) {
  { known.size() } -> std::same_as<Index>;
  { h.product(x) } -> std::same_as<std::vector<T>>;
  { known.gradients() } -> std::convertible_to<double>;
};

/// Any symmetric operator with vectors of T, so that the estimators are compiled once. Copies share it.
template <std::floating_point T>
class Operator {
 public:
  template <SymmetricOperator<T> O>
    requires(!std::same_as<std::remove_cvref_t<O>, Operator>)
  Operator(O h)
      : size_{h.size()},
        gradients_{static_cast<double>(h.gradients())},
        product_{
            [own = std::make_shared<O>(std::move(h))](std::span<const T> x) { return own->product(x); }} {}

  Index size() const { return size_; }
  double gradients() const { return gradients_; }
  std::vector<T> product(std::span<const T> x) const { return product_(x); }

 private:
  Index size_;
  double gradients_;
  std::function<std::vector<T>(std::span<const T>)> product_;
};

/// A symmetric matrix whose elements are known; its products cost no gradients. Throws ShapeError unless it
/// is square.
template <std::floating_point T>
class Explicit {
 public:
  explicit Explicit(Tensor<T> matrix) : matrix_{std::move(matrix)} {
    require<ShapeError>(matrix_.rank() == 2 && matrix_.dim(0) == matrix_.dim(1),
                        "spectrum: expected a square matrix, got ", matrix_.shape());
  }

  Index size() const { return matrix_.dim(0); }
  double gradients() const { return 0.0; }

  std::vector<T> product(std::span<const T> x) const {
    std::vector<T> y(x.size());
    const T* row = matrix_.data();
    for (T& out : y) {
      double sum = 0.0;
      for (const T in : x) sum += static_cast<double>(*row++) * static_cast<double>(in);
      out = static_cast<T>(sum);
    }
    return y;
  }

 private:
  Tensor<T> matrix_;
};

}  // namespace loru::inline LORU_ISA::spectrum
