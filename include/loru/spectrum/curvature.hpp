#pragma once
// The Hessian of a model's loss and its relatives as operators, by products over dual numbers.

#include <mutex>
#include <numeric>

#include <loru/core/parallel.hpp>
#include <loru/spectrum/dual_model.hpp>
#include <loru/spectrum/operator.hpp>
#include <loru/train/device_data.hpp>
#include <loru/train/task.hpp>

namespace loru::inline LORU_ISA::spectrum {

enum class Curvature : unsigned char {
  hessian,       ///< H = ∇²f
  gauss_newton,  ///< G = mean Jᵀ·∇²ℓ·J, J the Jacobian of the outputs and ∇²ℓ the loss's Hessian in them
  residual,      ///< H − G
};

struct CurvatureOptions {
  Curvature kind = Curvature::hessian;
  /// Samples of a product's batch. It changes no value but for rounding, and no bit depends on the threads.
  Index batch = 128;
  /// Chooses the trained parameters that the operator is with respect to, such as those of one layer;
  /// empty: all.
  std::function<bool(const nn::TensorId&)> parameters{};
  /// Normalise with each batch's moments, as training does. With BatchNorm the loss of a sample then
  /// depends on the batch that it is in, so there is no Hessian of the data set: such a model is refused.
  bool batch_statistics = false;
};

/// Curvature of f(θ) = mean over samples of a task's loss, without weight decay, augmentation and dropout,
/// with frozen statistics. A vector is the chosen parameters one after the other, each in its memory's
/// order. H·x is the tangent of the gradient at θ + ε·x, exactly (hvp.hpp). G·x takes J·x from the tangents
/// of the outputs, ∇²ℓ·J·x from those of the loss's gradient in them, and goes back once with that. Batches
/// are cut in order, grouped into at most eight parts that run in parallel, and added in order in double:
/// the bits depend on the batch alone.
template <class T, class D = Cpu>
class CurvatureOperator {
 public:
  using Model = nn::Model<Dual<T>, D>;

  /// Keeps a reference to the data set, which must outlive it, and to the pool, if there is one. Throws
  /// ConfigError if no parameter is chosen, for batch_statistics of a model with BatchNorm, for batch < 1
  /// and as the task does; DataError without samples.
  CurvatureOperator(Model model, train::DeviceData<D> data, std::vector<Index> samples,
                    train::Task<Dual<T>, D> task, CurvatureOptions options = {}, WorkerPool* pool = nullptr);

  Index size() const { return size_; }
  /// Forward and backward passes over dual numbers are three times the products of real ones.
  double gradients() const { return options_.kind == Curvature::residual ? 6.0 : 3.0; }
  std::vector<T> product(std::span<const T> x);

  /// ∇f for the chosen parameters.
  std::vector<T> gradient();

  /// Names of the chosen parameters and how many numbers each has, in order.
  const std::vector<nn::Named<Index>>& parameters() const { return parameters_; }

 private:
  using Tensors = std::vector<Tensor<Dual<T>, D>>;
  enum class Part : unsigned char { value, tangent };

  /// The chosen parameters at θ + ε·x; x empty: θ.
  Tensors point(std::span<const T> x);

  /// Sum over all batches of a part of the parameters' gradients, by samples.
  std::vector<T> sum(const Tensors& at, Curvature kind, Part part);

  /// Adds one batch to `total`.
  void add_batch(Model& model, Index batch, Curvature kind, Part part, std::vector<double>& total) const;

  /// Variables of a model that are chosen.
  std::vector<Variable<Dual<T>, D>> chosen(Model& model) const;

  Model borrow();
  void give_back(Model model);

  Model model_;
  train::DeviceData<D> data_;
  std::vector<Index> samples_;
  train::Task<Dual<T>, D> task_;
  CurvatureOptions options_;
  WorkerPool* pool_;
  std::vector<nn::Named<Index>> parameters_;
  Index size_ = 0;
  std::shared_ptr<std::mutex> mutex_ = std::make_shared<std::mutex>();  // so that the operator can be moved
  std::vector<Model> free_;                                             // replicas that no part uses now
};

template <class T, class D>
CurvatureOperator<T, D>::CurvatureOperator(Model model, train::DeviceData<D> data, std::vector<Index> samples,
                                           train::Task<Dual<T>, D> task, CurvatureOptions options,
                                           WorkerPool* pool)
    : model_{std::move(model)},
      data_{std::move(data)},
      samples_{std::move(samples)},
      task_{std::move(task)},
      options_{std::move(options)},
      pool_{pool} {
  require<DataError>(!samples_.empty(), "spectrum: ", data_.dataset().name, ": expected at least one sample");
  require<ConfigError>(options_.batch >= 1, "spectrum: batch: expected at least 1, got ", options_.batch);
  require<ConfigError>(
      !options_.batch_statistics || model_.buffers().empty(),
      "spectrum: expected frozen statistics for a model with BatchNorm: with those of each batch "
      "a sample's loss depends on the others, and the data set has no Hessian");
  task_.outputs(data_.dataset());  // throws for targets of another kind
  for (auto& p : model_.trained_parameters()) {
    if (options_.parameters && !options_.parameters(p.id())) {
      p.value.set_requires_grad(false);
      continue;
    }
    parameters_.push_back({p.name, p.value.value().size(), p.role});
    size_ += p.value.value().size();
  }
  require<ConfigError>(size_ > 0, "spectrum: expected at least one chosen parameter, got none");
}

template <class T, class D>
std::vector<Variable<Dual<T>, D>> CurvatureOperator<T, D>::chosen(Model& model) const {
  std::vector<Variable<Dual<T>, D>> variables;
  for (const auto& p : model.trained_parameters()) variables.push_back(p.value);
  return variables;
}

template <class T, class D>
typename CurvatureOperator<T, D>::Tensors CurvatureOperator<T, D>::point(std::span<const T> x) {
  Tensors tensors;
  std::size_t at = 0;
  for (const auto& v : chosen(model_)) {
    const Tensor<Dual<T>> theta = to_host(v.value());
    Tensor<Dual<T>> moved(theta.shape(), theta.layout());
    for (Index i = 0; i < theta.size(); ++i)
      moved.data()[i] = {theta.data()[i].value, x.empty() ? T(0) : x[at + static_cast<std::size_t>(i)]};
    at += static_cast<std::size_t>(theta.size());
    tensors.push_back(to_device<D>(moved));
  }
  return tensors;
}

template <class T, class D>
nn::Model<Dual<T>, D> CurvatureOperator<T, D>::borrow() {
  std::lock_guard lock{*mutex_};
  if (free_.empty()) return model_;
  Model model = std::move(free_.back());
  free_.pop_back();
  return model;
}

template <class T, class D>
void CurvatureOperator<T, D>::give_back(Model model) {
  std::lock_guard lock{*mutex_};
  free_.push_back(std::move(model));
}

template <class T, class D>
void CurvatureOperator<T, D>::add_batch(Model& model, Index batch, Curvature kind, Part part,
                                        std::vector<double>& total) const {
  const Index first = batch * options_.batch, count = std::min(options_.batch, std::ssize(samples_) - first);
  const auto chosen_samples =
      std::span(samples_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  const auto data = data_.template gather<Dual<T>>(chosen_samples);
  const auto variables = chosen(model);
  for (auto v : variables) v.clear_gradient();
  const Variable<Dual<T>, D> y = task_.forward(model, data, {});
  if (kind == Curvature::hessian) {
    task_.loss(y, data).backward();
  } else {
    const Variable<Dual<T>, D> outputs(y.value(), true);
    task_.loss(outputs, data).backward();
    Tensor<Dual<T>> seed = clone(to_host(outputs.gradient()));
    for (Dual<T>& g : std::span(seed.data(), static_cast<std::size_t>(seed.size()))) g = g.tangent;
    y.backward(to_device<D>(seed));  // the values of the gradients are Jᵀ·∇²ℓ·J·x
  }
  std::size_t at = 0;
  for (const auto& v : variables) {
    const auto size = static_cast<std::size_t>(v.value().size());
    if (v.gradient()) {
      const Tensor<Dual<T>> g = to_host(to_layout(v.gradient(), v.value().layout()));
      for (std::size_t i = 0; i < size; ++i) {
        const Dual<T> d = g.data()[i];
        total[at + i] +=
            static_cast<double>(count) * static_cast<double>(part == Part::tangent ? d.tangent : d.value);
      }
    }
    at += size;
  }
}

template <class T, class D>
std::vector<T> CurvatureOperator<T, D>::sum(const Tensors& at, Curvature kind, Part part) {
  constexpr Index most_parts = 8;
  const Index batches = (std::ssize(samples_) + options_.batch - 1) / options_.batch,
              parts = std::min(batches, most_parts);
  std::vector<std::vector<double>> totals(static_cast<std::size_t>(parts));
  const auto work = [&](Index p) {
    Model model = borrow();
    const auto variables = chosen(model);
    for (std::size_t i = 0; i < variables.size(); ++i) {
      Variable<Dual<T>, D> v = variables[i];
      v.set_value(at[i]);
    }
    auto& total = totals[static_cast<std::size_t>(p)];
    total.assign(static_cast<std::size_t>(size_), 0.0);
    for (Index b = p * batches / parts; b < (p + 1) * batches / parts; ++b)
      add_batch(model, b, kind, part, total);
    for (auto v : variables) v.clear_gradient();
    give_back(std::move(model));
  };
  if (pool_ && std::same_as<D, Cpu>)
    pool_->for_each(parts, work);
  else
    for (Index p = 0; p < parts; ++p) work(p);
  std::vector<T> result(static_cast<std::size_t>(size_));
  const double count = static_cast<double>(samples_.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    double value = 0.0;
    for (const auto& total : totals) value += total[i];
    result[i] = static_cast<T>(value / count);
  }
  return result;
}

template <class T, class D>
std::vector<T> CurvatureOperator<T, D>::product(std::span<const T> x) {
  require<ShapeError>(std::ssize(x) == size_, "spectrum: expected a vector of ", size_, " numbers, got ",
                      x.size());
  const Tensors at = point(x);
  const auto of = [&](Curvature kind) {
    return sum(at, kind, kind == Curvature::hessian ? Part::tangent : Part::value);
  };
  if (options_.kind != Curvature::residual) return of(options_.kind);
  std::vector<T> y = of(Curvature::hessian);
  const std::vector<T> g = of(Curvature::gauss_newton);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] -= g[i];
  return y;
}

template <class T, class D>
std::vector<T> CurvatureOperator<T, D>::gradient() {
  return sum(point({}), Curvature::hessian, Part::value);
}

/// Chooses the parameters of the layer of that name, "fc1": all whose names begin with "fc1.".
inline std::function<bool(const nn::TensorId&)> of_layer(std::string layer) {
  return [prefix = std::move(layer) + '.'](const nn::TensorId& tensor) {
    return tensor.name.starts_with(prefix);
  };
}

/// Chooses A and B of all layers that have them; for a model with Weights::factors.
inline std::function<bool(const nn::TensorId&)> of_factors() {
  return [](const nn::TensorId& tensor) { return nn::is_factor(tensor.role); };
}

}  // namespace loru::inline LORU_ISA::spectrum
