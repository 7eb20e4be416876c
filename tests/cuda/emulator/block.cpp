// How a block runs, and what every access to its shared memory goes through.
#include "emulator/block.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>

namespace loru::emulator {

namespace {

thread_local FiberPool fibers;

}  // namespace

Block::Block(const char* kernel, dim3 grid, dim3 size, std::size_t shared_bytes, void (*body)(const void*),
             const void* context)
    : grid_dim(grid),
      block_dim(size),
      kernel_(kernel),
      body_(body),
      context_(context),
      shared_(shared_bytes),
      threads_(std::size_t{size.x} * size.y * size.z),
      states_(threads_.size()),
      warps_((threads_.size() + 31) / 32) {
  for (unsigned i = 0; i < threads_.size(); ++i)
    threads_[i].index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
  for (int i = 0; i < 32; ++i) lanes_.push_back(i);
  for (int i = 0; i < static_cast<int>(warps_.size()); ++i) order_.push_back(i);
  if (options.order == Order::reverse) {
    std::reverse(lanes_.begin(), lanes_.end());
    std::reverse(order_.begin(), order_.end());
  }
  if (options.banks) banks_.resize(warps_.size());
}

void Block::run(uint3 index) {
  block_index = index;
  random_.seed(options.seed * 0x9e3779b97f4a7c15ULL + index.x + 4099ULL * index.y + 16777259ULL * index.z);
  shared_.renew();
  std::fill(states_.begin(), states_.end(), State::fresh);
  for (auto& warp : warps_) warp.gone = 0;
  if (const auto last = threads_.size() % 32; last != 0) warps_.back().gone = ~0U << last;
  schedule();
  count_conflicts();
  if (!shared_.red_zones_intact())
    fail<Fault>(where(), ": wrote outside its ", shared_.size(), " bytes of shared memory");
}

// ---- called by the running CUDA thread ----

void Block::access(const void* p, int bytes, int aligned_to, bool write, const Site& site, bool whole_warp) {
  if (!shared_.holds(p, bytes, aligned_to)) fault(site, shared_.wrong_access(p, bytes, aligned_to));
  note(p, bytes, write, site, whole_warp);
}

void Block::plain_access(const void* p, int bytes, bool write, const Site& site) {
  access(p, bytes, bytes, write, site);
  if (banks_.empty()) return;
  const auto offset = static_cast<const std::byte*>(p) - shared_.data();
  banks_[static_cast<std::size_t>(current_ / 32)].add(lane(), static_cast<std::uint32_t>(offset), bytes,
                                                      site);
}

void Block::copy_later(void* to, const void* from, int bytes, const Site& site) {
  if (bytes < 0 || bytes > 16) fault(site, concat("expected 0 to 16 bytes, got ", bytes));
  if (reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    fault(site, "expected a global address aligned to 16");
  access(to, 16, 16, true, site);
  std::memset(to, 0xff, 16);
  self().copies.push_back(
      {static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes, self().group});
  ++counts_.cp_async;
}

void Block::wait_copies(int newest_left_open, const Site& site) {
  auto& copies = self().copies;
  auto copy = copies.begin();
  for (; copy != copies.end() && copy->group < self().group - newest_left_open; ++copy) {
    std::memcpy(copy->to, copy->from, static_cast<std::size_t>(copy->bytes));
    std::memset(copy->to + copy->bytes, 0, static_cast<std::size_t>(16 - copy->bytes));
    note(copy->to, 16, true, site, false);
  }
  copies.erase(copies.begin(), copy);
}

void Block::fault(const Site& site, const std::string& what) {
  const uint3 t = self().index;
  fail<Fault>(where(), " thread (", t.x, ",", t.y, ",", t.z, ") ", site.text(), ": ", what);
}

void Block::meet(CudaWarp& warp, unsigned mask, const Site& site) {
  if ((mask >> lane() & 1) == 0) fault(site, concat("the calling lane ", lane(), " is not in its mask"));
  if (warp.arrived == 0) {
    warp.site = site;
    warp.expected = mask;
  } else if (!(warp.site == site)) {
    fault(site, "lanes of one warp meet in different operations; the other is " + warp.site.text());
  } else if (warp.expected != mask) {
    fault(site, "lanes of one warp come with different masks");
  }
  if (const unsigned missing = mask & warp.gone; missing != 0)
    fault(site, concat("the mask names lane ", std::countr_zero(missing),
                       ", which has left the kernel or never was"));
}

void Block::note(const void* p, int bytes, bool write, const Site& site, bool whole_warp) {
  const auto race = shared_.touch(p, bytes, write, {current_, warp().syncs, whole_warp}, site.line);
  if (race) [[unlikely]]
    fault(site, race->text());
}

void Block::pause(State state, const Site& site) {
  this->state(current_) = state;
  CudaThread& me = self();
  me.site = site;
  Fiber* const fiber = running_.get();
  me.fiber = std::move(running_);
  fiber->pause();
}

// ---- the schedule ----

/// forward and reverse: each warp runs as far ahead as barriers let it. shuffled: some warps, lanes in any
/// order.
void Block::schedule() {
  for (;;) {
    bool progress = false;
    if (options.order == Order::shuffled) std::shuffle(order_.begin(), order_.end(), random_);
    for (const int w : order_) {
      if (options.order == Order::shuffled) std::shuffle(lanes_.begin(), lanes_.end(), random_);
      const bool ahead = options.order != Order::shuffled || random_() % 2 != 0;
      bool moved;
      do progress |= moved = run_lanes(w);
      while (moved && ahead);
    }
    if (!progress && !release_barrier()) return;
  }
}

/// Lets every lane of the warp that can run do so, until it waits or ends.
bool Block::run_lanes(int warp) {
  bool moved = false;
  warp_ = warp;
  for (cursor_ = 0; cursor_ < 32; ++cursor_) {
    const int i = warp * 32 + lanes_[cursor_];
    if (i >= static_cast<int>(threads_.size())) continue;
    if (state(i) != State::fresh && state(i) != State::ready) continue;
    moved = true;
    resume(i);
    if (error_) std::rethrow_exception(error_);
  }
  return moved;
}

void Block::resume(int thread) {
  current_ = thread;
  if (state(thread) == State::fresh)
    running_ = fibers.take([] { block->run_fresh(); });
  else
    running_ = std::move(self().fiber);
  running_->resume();
  if (running_)
    fibers.give(std::move(running_));  // it came to rest; a waiting thread has taken its own along
}

/// On a fibre: the current thread, from its start, and then those that follow it in this warp's turn, as long
/// as they are fresh, too: threads that never wait need no switches.
void Block::run_fresh() {
  for (;;) {
    state(current_) = State::ready;
    self().copies.clear();
    self().group = 0;
    try {
      body_(context_);
      if (!self().copies.empty()) fault({"exit", kernel_, 0}, "a cp.async was never waited for");
    } catch (const Fault&) {
      error_ = std::current_exception();
    } catch (const std::exception&) {
      error_ = std::current_exception();
    }
    state(current_) = State::done;
    warp().gone |= 1U << lane();
    if (error_ || cursor_ == 31) return;
    const int next = warp_ * 32 + lanes_[cursor_ + 1];
    if (next >= static_cast<int>(threads_.size()) || state(next) != State::fresh) return;
    ++cursor_;
    current_ = next;
  }
}

/// Nobody can run: all done (false), all live threads at one barrier (true), or a fault.
bool Block::release_barrier() {
  int first = -1;
  for (int i = 0; i < static_cast<int>(threads_.size()); ++i) {
    if (state(i) == State::done) continue;
    if (first < 0) first = i;
    if (state(i) != State::at_barrier || !(site_of(i) == site_of(first))) throw Fault(divergence());
  }
  if (first < 0) return false;
  for (auto& state : states_)
    if (state == State::at_barrier) state = State::ready;
  shared_.barrier();
  count_conflicts();
  ++counts_.barriers;
  return true;
}

std::string Block::divergence() {
  std::map<std::string, std::vector<int>> waiting;
  for (int i = 0; i < static_cast<int>(threads_.size()); ++i)
    if (state(i) != State::done) waiting[site_of(i).text()].push_back(i);
  std::string text = where() + ": divergent barrier, no thread can go on:";
  for (const auto& [site, who] : waiting)
    text += concat("\n  ", who.size(), " threads (first ", who[0], ") wait in ", site);
  return text;
}

void Block::count_conflicts() {
  for (auto& banks : banks_) counts_.bank_conflicts += banks.conflicts();
}

std::string Block::where() const {
  return concat(kernel_, " block (", block_index.x, ",", block_index.y, ",", block_index.z, ")");
}

}  // namespace loru::emulator
