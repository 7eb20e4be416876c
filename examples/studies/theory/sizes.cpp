// Models of their own on 50, 500, 5,000 and more samples: stable rank during training, at matched steps and
// at matched epochs.

#include <loru/io/csv.hpp>

#include "parts.hpp"

namespace theory {

namespace {

/// Trains a model further, step by step, with one optimizer.
class Trainer {
 public:
  Trainer(const Study& study, Model& model, const loru::data::Dataset& set, Samples samples)
      : data_{set},
        loop_{model,    task_,
              data_,    {.learning_rate = study.learning_rate, .momentum = 0.9},
              augment_, loru::train::streams(static_cast<std::uint64_t>(study.seed), 0, 0),
              "sizes"},
        samples_{std::move(samples)},
        order_{static_cast<std::uint64_t>(study.seed), loru::rng::Purpose::batches, 1},
        rate_{study.learning_rate} {}

  Index steps() const { return steps_; }
  Index steps_an_epoch() const { return (std::ssize(samples_) + batch - 1) / batch; }

  void train_to(Index steps) {
    for (; steps_ < steps; ++steps_) {
      if (at_ == 0) order_.shuffle(std::span(samples_));
      const auto count = std::min<std::size_t>(batch, samples_.size() - at_);
      double ignored = 0.0;
      loop_.epoch(
          std::span(samples_).subspan(at_, count), batch, [this](Index) { return rate_; }, {}, ignored);
      at_ = (at_ + count) % samples_.size();
    }
  }

 private:
  static constexpr Index batch = 32;
  // The loop keeps references to these.
  const loru::train::Task<float> task_ = loru::train::Classification{};
  const loru::train::DeviceData<> data_;
  const loru::data::Augment augment_{};
  loru::train::Loop<float> loop_;
  Samples samples_;
  loru::rng::Stream order_;
  double rate_;
  std::size_t at_ = 0;
  Index steps_ = 0;
};

}  // namespace

void sizes(const Study& study, const std::vector<Index>& counts, const std::vector<Index>& steps,
           const std::vector<Index>& epochs) {
  const auto data = loru::data::load({.name = study.data});
  const Samples order = shuffled(data.train.size(), study.seed);
  loru::WorkerPool pool(study.threads);
  loru::io::CsvWriter table(study.out, {"seed", "samples", "matched", "at", "steps", "train_loss",
                                        "test_accuracy", "norm", "stable_rank", "stable_rank_error"});
  for (const Index n : counts) {
    loru::require<loru::ConfigError>(n >= 1 && n <= std::ssize(order), "sizes: --samples: expected 1 to ",
                                     order.size(), ", got ", n);
    Model model = loru::nn::build<float>(study.model, options_for(data.train, study.seed));
    const Samples own(order.begin(), order.begin() + n);
    Trainer trainer(study, model, data.train, own);
    std::map<Index, std::vector<std::pair<std::string, Index>>>
        stops;  // step: what is matched there, and its value
    for (const Index s : steps) stops[s].emplace_back("steps", s);
    for (const Index e : epochs) stops[e * trainer.steps_an_epoch()].emplace_back("epochs", e);
    for (const auto& [step, matched] : stops) {
      trainer.train_to(step);
      const auto train = loru::train::evaluate(model, data.train, own, pool);
      const auto test = loru::train::evaluate(model, data.test, pool);
      const auto s = loru::spectrum::measure(
          loru::spectrum::Operator<float>(hessian(study, model, data.train, own, &pool)),
          {.tolerance = 0.02, .seed = static_cast<std::uint64_t>(study.seed)});
      for (const auto& [what, at] : matched)
        table.row({study.seed, n, what, at, step, train.loss, test.accuracy, s.norm, s.stable_rank,
                   s.stable_rank_error});
    }
  }
}

}  // namespace theory
