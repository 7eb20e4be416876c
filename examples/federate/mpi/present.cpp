#include <sched.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include <loru/mpi/mpi.hpp>
#include <loru/version.hpp>

#include "../digest.hpp"
#include "../federation.hpp"
#include "../output.hpp"
#include "../processes.hpp"
#include "../resume.hpp"

namespace federate {

namespace {

/// MPI from its beginning to its end, for one thread that calls it.
class Mpi {
 public:
  Mpi() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
  ~Mpi() { MPI_Finalize(); }

  bool first() const { return rank_ == 0; }
  int ranks() const { return ranks_; }

 private:
  int rank_ = 0, ranks_ = 1;
};

/// Each process's value, by rank. Sleeps while others are late.
template <class Value>
std::vector<Value> gathered(const Value& own, MPI_Comm comm) {
  int ranks = 1, come = 0;
  MPI_Comm_size(comm, &ranks);
  std::vector<Value> all(static_cast<std::size_t>(ranks));
  MPI_Request request;
  MPI_Iallgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, comm, &request);
  for (MPI_Test(&request, &come, MPI_STATUS_IGNORE); !come; MPI_Test(&request, &come, MPI_STATUS_IGNORE))
    std::this_thread::sleep_for(loru::mpi::shortest_pause);
  return all;
}

/// The cores that this process may run on, divided by the processes of this machine that may run on the same.
Index fair_threads() {
  ::cpu_set_t own;
  CPU_ZERO(&own);
  if (::sched_getaffinity(0, sizeof own, &own) != 0) return 1;
  MPI_Comm here;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
  const auto masks = gathered(own, here);
  MPI_Comm_free(&here);
  const auto sharing = std::ranges::count_if(masks, [&](auto& mask) { return CPU_EQUAL(&mask, &own); });
  return std::max<Index>(1, CPU_COUNT(&own) / sharing);
}

/// What all processes have to agree on.
std::string identity(const loru::data::Split& data) {
  return loru::concat("loru ", loru::version, ' ', LORU_TEXT(LORU_ISA), ", data ",
                      data_digest(data).substr(0, 16));
}

/// How a process comes out of its set-up.
struct Report {
  char host[MPI_MAX_PROCESSOR_NAME] = {}, identity[160] = {}, configuration[Sha256::digits + 1] = {},
       error[2048] = {};
};

template <std::size_t N>
void put(char (&place)[N], const std::string& text) {
  std::strncpy(place, text.c_str(), N - 1);
}

/// Throws what was thrown here or, where another process failed or is another, what says so.
void agree(const Report& own, const std::exception_ptr& failure) {
  const auto all = gathered(own, MPI_COMM_WORLD);
  if (failure) std::rethrow_exception(failure);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const Report& r = all[rank];
    loru::require<loru::ConfigError>(r.error[0] == 0, "rank ", rank, " on ", r.host, ": ", r.error);
    loru::require<loru::ConfigError>(std::strcmp(r.identity, all[0].identity) == 0, "rank ", rank, " on ",
                                     r.host, ": expected ", all[0].identity, ", got ", r.identity);
    loru::require<loru::ConfigError>(std::strcmp(r.configuration, all[0].configuration) == 0, "rank ", rank,
                                     " on ", r.host, ": expected the configuration of rank 0, got another");
  }
}

struct Prepared {
  Setup setup;
  loru::data::Partition parts;
};

/// The same set-up on every process; a run that goes on is the first one's.
Prepared prepare(const std::string& file, const Overrides& overrides, RunOptions& options, bool first) {
  Report report;
  std::exception_ptr failure;
  std::optional<Prepared> prepared;
  int length = 0;
  MPI_Get_processor_name(report.host, &length);
  try {
    const Configuration configuration =
        options.resumes && first ? resumed(overrides, options) : read_configuration(file, overrides);
    loru::require<loru::ConfigError>(configuration.device == "cpu",
                                     "--executor mpi: expected device cpu, got ", configuration.device);
    prepared.emplace(set_up(configuration), loru::data::Partition());
    prepared->parts = make_partition(prepared->setup);
    put(report.identity, identity(prepared->setup.data));
    put(report.configuration, configuration_digest(configuration));
  } catch (const std::exception& error) {
    failure = std::current_exception();
    put(report.error, error.what());
  }
  agree(report, failure);
  return *std::move(prepared);
}

/// The executor is gone when it returns or throws: before MPI ends. The first process's exit code is the
/// run's; the others have none of their own.
ExitCode run_as_one(const std::string& file, const Overrides& overrides, RunOptions options, bool first) {
  Prepared prepared = prepare(file, overrides, options, first);
  const auto executor = std::make_shared<loru::mpi::Executor>(options.threads);
  options.executor = executor;
  if (executor->rank() == 0) return train(prepared.setup, std::move(prepared.parts), options);
  try {
    return train(prepared.setup, std::move(prepared.parts), options);
  } catch (...) {
    executor->fail(std::current_exception());
    return success;
  }
}

}  // namespace

ExitCode run_with_mpi(const std::string& file, const Overrides& overrides, RunOptions options,
                      std::optional<Index> threads) {
  const Mpi mpi;
  if (const auto several = launched(); several && mpi.ranks() == 1)
    loru::fail<loru::ConfigError>("--executor mpi: ", several->processes, " processes were started (",
                                  several->variable, "), MPI sees 1: the launcher belongs to another MPI");
  options.threads = threads ? *threads : fair_threads();
  options.quiet |= !mpi.first();
  try {
    const auto config = std::filesystem::path(options.out) / "config.toml";
    return run_as_one(options.resumes ? config.string() : file, overrides, options, mpi.first());
  } catch (...) {
    if (mpi.first()) throw;
    return success;
  }
}

}  // namespace federate
