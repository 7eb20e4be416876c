// An algorithm of one's own in two hooks: the server takes the median of every number instead of the mean, so
// that clients which send noise do no harm. Under the mean two of ten clients cost a third of the accuracy.

#include <algorithm>
#include <cstdio>
#include <loru/loru.hpp>

using namespace loru;

namespace {

/// x ← the median of the clients' x_k, number by number; or their mean, to compare with. Clients below
/// `faulty` send noise. Source of the rule: Yin et al., arXiv 1803.01498, Algorithm 1.
// docs: begin options
struct Median {
  bool median = true;
  Index faulty = 0;

  static constexpr std::string_view name = "median";
  static constexpr bool low_rank = false;
  using hooks =
      fl::Hooks<fl::hook::train, fl::hook::fold>;  // one that is misspelt or left out does not compile
  static constexpr auto fields() {
    return Fields{field("faulty", &Median::faulty, range::at_least(0), "clients that send noise")};
  }
  // docs: end options

  // docs: begin train
  /// A turn: the usual training, and for a faulty client numbers that have nothing to do with it.
  template <class T, class D>
  double train(const fl::Turn<T, D>& turn) const {
    const double loss = fl::train(turn);
    rng::Stream noise(turn.head.seed, rng::Purpose::init, static_cast<std::uint32_t>(turn.head.round),
                      static_cast<std::uint32_t>(turn.head.client));
    if (turn.head.client < faulty)
      for (auto& p : turn.model.trained_parameters()) {
        Tensor<T> x(p.value.shape());
        for (T& number : x.span()) number = static_cast<T>(3.0 * noise.normal());
        p.value.set_value(to_device<D>(to_layout(x, p.value.value().layout())));
      }
    return loss;
  }
  // docs: end train

  // docs: begin fold
  /// The end of a round: what the updates become.
  template <class T, class D>
  void fold(fl::Server<T, D>& server, const fl::Cohort& cohort) const {
    if (!median) return fl::get_state(cohort.mean, server.model());
    io::Archive middle("median");
    for (const auto& [name, raw] : cohort.mean.tensors()) {
      std::vector<Tensor<T>> all;
      for (const fl::Update& update : cohort.updates) all.push_back(update.state.get<T>(name));
      Tensor<T> x(raw.shape);
      std::vector<T> numbers(all.size());
      for (Index i = 0; i < x.size(); ++i) {
        std::ranges::transform(all, numbers.begin(), [i](const Tensor<T>& t) { return t.data()[i]; });
        std::ranges::nth_element(numbers, numbers.begin() + std::ssize(numbers) / 2);
        x.data()[i] = numbers[numbers.size() / 2];
      }
      middle.share(name, x);
    }
    fl::get_state(middle, server.model());
  }
  // docs: end fold
};

// docs: begin use
double accuracy(const Median& algorithm, const data::Split& digits) {
  const fl::ClientOptions client{.epochs = 2, .batch = 16, .optimizer = {.learning_rate = 0.1}};
  fl::Simulation simulation{nn::mlp<float>({.height = 8, .width = 8}),
                            algorithm,
                            digits,
                            data::iid(digits.train, {.clients = 10}),
                            {.cohort = 9, .client = client, .eval_every = 0}};
  for ([[maybe_unused]] const fl::Round& round : simulation.rounds(8)) {}
  return simulation.evaluate().accuracy;
}
// docs: end use

}  // namespace

int main() {
  const data::Split digits = data::digits();
  const double mean = accuracy({false, 2}, digits), median = accuracy({true, 2}, digits);
  std::printf("two of ten clients send noise: accuracy %.4f by the mean, %.4f by the median\n", mean, median);
  return mean < 0.75 && median > 0.9 ? 0 : 1;
}
