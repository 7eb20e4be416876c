// Local: every client alone.
#include "three_clients.hpp"

using namespace loru;
using namespace loru_test;

TEST_CASE("local clients train alone, send nothing and go on where they were") {
  const bool low = GENERATE(false, true);
  auto start = low ? small_factored<float>("resnet10") : small_model<float>("resnet10");
  const auto whole = bits(start);
  Federation<float> run(start, fl::Local{.low_rank = low});
  run.round();
  run.round();
  CHECK(run.up == std::vector<std::size_t>(clients, 0));
  CHECK(run.down == std::vector<std::size_t>(clients, 0));
  CHECK(bits(run.server.model()) == whole);
  auto alone = start;
  const auto samples = run.parts.samples(1);
  io::Archive state, nothing;
  for (Index round = 1; round <= 2; ++round)
    fl::train(fl::Turn<float>{
        alone, small_data().train, samples, run.options, {seed, round, 1}, state, nothing, nothing});
  CHECK(bits(alone) != whole);
  auto kept = start;
  fl::get_own(
      fl::Turn<float>{
          kept, small_data().train, samples, run.options, {seed, 2, 1}, run.states[1], nothing, nothing},
      run.algorithm.personal);
  CHECK(bits(kept) == bits(alone));
}
