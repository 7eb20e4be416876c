#pragma once
// Options of a simulation, and the report of a round.

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include <loru/fl/client/store.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/message/codec.hpp>
#include <loru/fl/server/client_ranks.hpp>
#include <loru/fl/server/limits.hpp>
#include <loru/fl/server/server_optimizer.hpp>
#include <loru/fl/simulation/executor.hpp>
#include <loru/fl/simulation/sampler.hpp>

namespace loru::inline LORU_ISA::fl {

/// What happens to a client whose training diverges, whose turn finds its state or its broadcast broken, or
/// whose update the server refuses.
enum class Diverged : unsigned char {
  stop,    ///< the round fails
  reject,  ///< the round goes on without it
};

struct SimulationOptions {
  Index cohort = 10;
  ClientOptions client{};
  RankOptions ranks{};
  ServerOptimizer server{};
  UpdateLimits limits{};
  Codecs codecs{};
  Drops drops{};
  Diverged diverged = Diverged::stop;
  /// A round in which fewer updates were folded changes nothing but its number.
  Index min_updates = 1;
  std::uint64_t seed = 1;
  Index threads = 1;
  /// Evaluates after every k-th round and after the last of a range; 0 never evaluates.
  Index eval_every = 1;
  /// Who does the clients' turns; none: `threads` threads of this process. One executor may serve several
  /// simulations, one after the other.
  std::shared_ptr<Executor> executor{};
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
    return Fields{
        field("federation.eval_every", &S::eval_every, range::at_least(0),
              "rounds between two evaluations; the last round is evaluated too, 0 evaluates none"),
        field("federation.aggregation_error", &S::aggregation_error,
              "measures the aggregation error of each round; its mean is in summary.json"),
        field("federation.diverged", &S::diverged,
              words<Diverged>({{"stop", Diverged::stop}, {"reject", Diverged::reject}}),
              "what happens to a client that diverges or whose update is refused: the run stops, or "
              "the round goes on without it"),
        section("federation", &S::drops),
        field("federation.min_updates", &S::min_updates, range::at_least(1),
              "a round with fewer updates changes nothing"),
        section("", &S::client),
        section("ranks", &S::ranks),
        section("server", &S::server),
        section("server", &S::limits),
        section("codec", &S::codecs)};
  }
};

/// The report of a round. The training loss is NaN where the round had too few updates; accuracy and loss on
/// the test set where it was not evaluated, accuracy also where the task has none.
struct Round {
  Index index = 0;
  std::vector<Index> cohort{};
  Index dropped = 0, rejected = 0;  ///< clients that did not answer; that diverged or were refused
  std::string rejection{};          ///< why the first of these was
  double train_loss = std::numeric_limits<double>::quiet_NaN();
  double test_accuracy = std::numeric_limits<double>::quiet_NaN();
  double test_loss = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> test_metrics{};        ///< in the task's order; none where it was not evaluated
  std::vector<double> validation_metrics{};  ///< the same on the validation set; none where there is none
  std::uint64_t uplink_bytes = 0, downlink_bytes = 0;
  std::vector<Index> turns_by_rank{};  ///< of the executor's processes
  std::uint64_t state_bytes = 0;       ///< of client states that went to other processes and back
  Index merges = 0;                    ///< so far
  std::map<std::string, double> aggregation_error{};  ///< by layer, if measured and folded
  double train_seconds = 0.0;                         ///< without evaluation
  double seconds = 0.0;

  bool evaluated() const { return !test_metrics.empty(); }
};

}  // namespace loru::inline LORU_ISA::fl
