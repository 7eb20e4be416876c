#pragma once
// Options of a simulation, and the report of a round.

#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include <loru/fl/client/store.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/message/codec.hpp>
#include <loru/fl/server/client_ranks.hpp>
#include <loru/fl/server/server_optimizer.hpp>

namespace loru::inline LORU_ISA::fl {

struct SimulationOptions {
  Index cohort = 10;
  ClientOptions client{};
  RankOptions ranks{};
  ServerOptimizer server{};
  Codecs codecs{};
  std::uint64_t seed = 1;
  Index threads = 1;
  /// Evaluates after every k-th round and after the last of a range; 0 never evaluates.
  Index eval_every = 1;
  /// Where client states are kept between rounds; none: in memory.
  std::shared_ptr<ClientStore> store{};
  /// Measures what each fold loses (Server::measure_aggregation).
  bool aggregation_error = false;
  /// Rounds that were run before, as a warm-up, and whether clients know the first frozen weights: see
  /// ServerOptions.
  Index rounds_before = 0;
  bool weights_known = true;

  static constexpr auto fields() {
    using S = SimulationOptions;
    return Fields{field("federation.eval_every", &S::eval_every, range::at_least(0),
                        "rounds between two evaluations; the last round is evaluated too, 0 evaluates none"),
                  field("federation.aggregation_error", &S::aggregation_error,
                        "measures the aggregation error of each round; its mean is in summary.json"),
                  section("", &S::client),
                  section("ranks", &S::ranks),
                  section("server", &S::server),
                  section("codec", &S::codecs)};
  }
};

/// The report of a round. Accuracy and loss on the test set are NaN where it was not evaluated, accuracy also
/// where the task has none.
struct Round {
  Index index = 0;
  std::vector<Index> cohort{};
  double train_loss = 0.0;
  double test_accuracy = std::numeric_limits<double>::quiet_NaN();
  double test_loss = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> test_metrics{};        ///< in the task's order; none where it was not evaluated
  std::vector<double> validation_metrics{};  ///< the same on the validation set; none where there is none
  std::uint64_t uplink_bytes = 0, downlink_bytes = 0;
  Index merges = 0;                                   ///< so far
  std::map<std::string, double> aggregation_error{};  ///< by layer, if measured
  double train_seconds = 0.0;                         ///< without evaluation
  double seconds = 0.0;

  bool evaluated() const { return !test_metrics.empty(); }
};

}  // namespace loru::inline LORU_ISA::fl
