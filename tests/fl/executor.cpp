// Who does the turns: the order in which they begin, and the order of their answers.
#include <loru/fl/simulation/executor.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "federation.hpp"

using namespace loru;
using namespace loru_test;

namespace {

std::vector<fl::Job> jobs(const std::vector<Index>& sizes) {
  std::vector<fl::Job> all;
  for (const Index size : sizes) all.push_back({std::ssize(all), size, nullptr});
  return all;
}

fl::Answer number(Index i) { return {.update = fl::Message(static_cast<std::size_t>(i))}; }

const fl::Executor::Own nothing = [](Index) { return fl::Bytes(); };

}  // namespace

TEST_CASE("Within the window the largest jobs begin first, and the first one when half have begun") {
  const auto all = jobs({1, 5, 9, 9, 2, 3, 4, 4, 4, 4, 99, 99});
  const fl::Deliver deliver = [](Index, fl::Answer&&) {};
  fl::Window window(all, 1, deliver);  // ten places
  for (const Index expected : {2, 3, 1, 6, 7, 0, 8, 9, 5, 4}) CHECK(window.try_begin() == expected);
  CHECK_FALSE(window.try_begin());
  CHECK_FALSE(window.done());
  window.finish(3, number(3));
  CHECK_FALSE(window.try_begin());  // job 0 is not delivered
  window.finish(0, number(0));
  CHECK(window.try_begin() == 10);
  CHECK_FALSE(window.try_begin());
  window.finish(1, number(1));
  CHECK(window.try_begin() == 11);
  CHECK(window.done());
}

TEST_CASE("Answers are delivered in the order of the jobs, and at most 2·workers + 8 wait") {
  const Index threads = GENERATE(1, 2, 3);
  std::vector<Index> sizes;
  for (Index i = 0; i < 60; ++i) sizes.push_back((i * 7919) % 13);
  const auto all = jobs(sizes);
  std::vector<Index> delivered;
  std::atomic<Index> begun{0}, most{0};
  fl::ThreadExecutor executor(threads);
  CHECK(executor.workers() == threads);
  executor.run(
      all,
      [&](const fl::Job& job, const fl::Bytes&) {
        std::this_thread::sleep_for(std::chrono::microseconds(20 * job.size));
        return number(job.number);
      },
      [&](Index) {
        ++begun;
        return fl::Bytes();
      },
      [&](Index i, fl::Answer&& answer) {
        REQUIRE(std::ssize(answer.update) == i);
        most = std::max<Index>(most, begun - std::ssize(delivered));
        delivered.push_back(i);
      });
  REQUIRE(delivered.size() == 60);
  CHECK(std::is_sorted(delivered.begin(), delivered.end()));
  CHECK(most <= 2 * threads + 8);
  executor.run(
      {}, [&](const fl::Job&, const fl::Bytes&) { return number(0); }, nothing,
      [](Index, fl::Answer&&) { FAIL("nothing to deliver"); });
}

TEST_CASE("The failure of the smallest index is thrown, wherever it happens") {
  fl::ThreadExecutor executor(GENERATE(1, 2, 3));
  const std::string where = GENERATE("work", "own", "deliver");
  const auto check = [&](const std::string& here, Index i) {
    if (here == where && (i == 4 || i == 6)) fail<DataError>("failed at ", i);
  };
  std::vector<Index> sizes(40);
  std::iota(sizes.begin(), sizes.end(), Index{0});  // large ones first: 6 begins before 4
  const auto all = jobs(sizes);
  std::vector<Index> delivered;
  std::atomic<Index> begun{0};
  const std::string message = message_of<DataError>([&] {
    executor.run(
        all,
        [&](const fl::Job& job, const fl::Bytes&) {
          ++begun;
          check("work", job.number);
          return number(job.number);
        },
        [&](Index i) {
          check("own", i);
          return fl::Bytes();
        },
        [&](Index i, fl::Answer&& answer) {
          if (answer.error) std::rethrow_exception(answer.error);
          check("deliver", i);
          delivered.push_back(i);
        });
  });
  CHECK(message == "failed at 4");
  CHECK(delivered == std::vector<Index>{0, 1, 2, 3});
  CHECK(begun < 40);
  begun = 0;  // it can be used again
  executor.run(
      all, [&](const fl::Job& job, const fl::Bytes&) { return number(job.number); }, nothing,
      [&](Index, fl::Answer&&) { ++begun; });
  CHECK(begun == 40);
}

namespace {

/// Does the jobs from the last to the first, with copies of their bytes.
class Backwards final : public fl::Executor {
 public:
  Index workers() const override { return 5; }
  void run(std::span<const fl::Job> jobs, const Work& work, const Own& own,
           const fl::Deliver& deliver) override {
    std::vector<fl::Answer> answers(jobs.size());
    for (auto i = std::ssize(jobs) - 1; i >= 0; --i) {
      fl::Job job = jobs[static_cast<std::size_t>(i)];
      job.shared = std::make_shared<const fl::Message>(*job.shared);
      const fl::Bytes state = own(i);
      answers[static_cast<std::size_t>(i)] = answer(
          job, i, work, [&](Index) { return state ? std::make_shared<const fl::Message>(*state) : nullptr; });
    }
    for (std::size_t i = 0; i < jobs.size(); ++i) deliver(static_cast<Index>(i), std::move(answers[i]));
  }
};

}  // namespace

namespace {

/// Another process, but for the process: it knows what it was built with, its jobs' bytes and the news.
class There final : public fl::Executor {
 public:
  Index workers() const override { return 1; }
  Index rank() const override { return 1; }
  Index ranks() const override { return 2; }
  void run(std::span<const fl::Job>, const Work&, const Own&, const fl::Deliver&) override {
    FAIL("process 0");
  }
  void tell(const fl::Bytes&) override { FAIL("process 0"); }
  void release() override { FAIL("process 0"); }
  bool serve(const Work& with, const Hear& by) override {
    work = with;
    hear = by;
    return true;
  }
  Work work;
  Hear hear;
};

/// Process 0, which has all jobs done there.
class Here final : public fl::Executor {
 public:
  explicit Here(std::shared_ptr<There> there) : there_{std::move(there)} {}
  Index workers() const override { return 1; }
  Index ranks() const override { return 2; }
  void tell(const fl::Bytes& news) override { there_->hear(std::make_shared<const fl::Message>(*news)); }
  void run(std::span<const fl::Job> jobs, const Work&, const Own& own, const fl::Deliver& deliver) override {
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const auto at = static_cast<Index>(i);
      fl::Answer done = answer(jobs[i], at, there_->work, own);
      done.rank = 1;
      deliver(at, std::move(done));
    }
  }

 private:
  std::shared_ptr<There> there_;
};

}  // namespace

TEST_CASE("Another process does the same turns, though it knows the server by news alone") {
  const auto check = [](const auto& algorithm, std::vector<Index> ranks) {
    CAPTURE(algorithm.name);
    const auto there = std::make_shared<There>();
    const auto simulation = [&](std::shared_ptr<fl::Executor> executor) {
      auto model = small_model<float>();
      fl::AnyAlgorithm<float>(algorithm).parametrise(model, {.rank = 3, .seed = 4});
      fl::SimulationOptions options{.cohort = 3, .client = momentum_client(), .seed = 5};
      options.executor = std::move(executor);
      if (!ranks.empty()) options.ranks = {.rule = fl::RankRule::fixed, .values = ranks};
      return std::make_unique<fl::Simulation<float>>(std::move(model), algorithm, small_data(),
                                                     small_parts(5), options);
    };
    const auto here = simulation(std::make_shared<Here>(there)), other = simulation(there),
               alone = simulation(nullptr);
    CHECK(other->serve());
    std::uint64_t states = 0;
    for (Index i = 0; i < 4; ++i) {
      const fl::Round round = here->run_round(true), expected = alone->run_round(true);
      CHECK(round.train_loss == expected.train_loss);
      CHECK(round.test_loss == expected.test_loss);
      CHECK(round.uplink_bytes == expected.uplink_bytes);
      CHECK(round.downlink_bytes == expected.downlink_bytes);
      CHECK(round.turns_by_rank == std::vector<Index>{0, 3});
      CHECK(expected.turns_by_rank == std::vector<Index>{3});
      CHECK(expected.state_bytes == 0);
      states += round.state_bytes;
    }
    const auto personal = here->personal_accuracy({.images = 12}),
               expected = alone->personal_accuracy({.images = 12});
    CHECK(personal.each.size() == 5);
    CHECK(personal.mean == expected.mean);
    CHECK(personal.global_mean == expected.global_mean);
    here->release();
    other->release();  // it has nobody to release
    CHECK(bits(here->model()) == bits(alone->model()));
    CHECK(bits(other->model()) == bits(here->model()));
    return states;
  };
  CHECK(check(fl::FedLoRU{.tau = 2}, {}) == 0);
  CHECK(check(fl::PFedLoRU{.tau = 2}, {}) > 0);
  check(fl::FedSALoRA{}, {});
  check(fl::FedMUD{.interval = 2}, {});
  check(fl::FLoRA{}, {});
  check(fl::FedLoRA{}, {2, 3});
  check(fl::HetLoRA{.gamma = 0.5, .lambda = 0.1}, {2, 3});
  check(fl::MFedLoRU{.tau = 2}, {2, 3});
}

TEST_CASE("A federation has the same bits whoever does its turns") {
  const auto run = [](std::shared_ptr<fl::Executor> executor, const auto& algorithm) {
    fl::SimulationOptions options{.cohort = 3, .client = momentum_client(), .seed = 5, .threads = 2};
    options.executor = std::move(executor);
    options.codecs = {.uplink = fl::Code::top_k, .downlink = fl::Code::top_k, .keep = 0.2};
    fl::Simulation<float> simulation{small_factored<float>(), algorithm, small_data(), small_parts(5),
                                     options};
    std::vector<double> reported;
    for (const fl::Round& round : simulation.rounds(4))
      reported.insert(reported.end(),
                      {round.train_loss, round.test_accuracy, round.test_loss,
                       static_cast<double>(round.uplink_bytes), static_cast<double>(round.downlink_bytes)});
    return std::pair{bits(simulation.model()), reported};
  };
  const auto compare = [&](const auto& algorithm) {
    CHECK(run(std::make_shared<Backwards>(), algorithm) == run(nullptr, algorithm));
  };
  compare(fl::FedLoRU{.tau = 2});
  compare(fl::PFedLoRU{.tau = 2});
}
