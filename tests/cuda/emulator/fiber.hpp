#pragma once
// A fibre: a function with a stack of its own that can pause. Boost.Context switches; AddressSanitizer is
// told which stack is live, so that emulated kernels run under it.
#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define LORU_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LORU_FIBER_ASAN 1
#endif
#endif
#ifdef LORU_FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

namespace loru::emulator {

/// Runs `job` over and over, one run for each time it is resumed from rest. Within a run the job may pause.
class Fiber {
 public:
#ifdef LORU_FIBER_ASAN
  static constexpr std::size_t stack_size = std::size_t{256} << 10;
#else
  static constexpr std::size_t stack_size = std::size_t{64} << 10;
#endif

  explicit Fiber(void (*job)()) : stack_(std::make_unique_for_overwrite<std::byte[]>(stack_size)) {
    namespace context = boost::context;
    const context::stack_context memory{stack_size, stack_.get() + stack_size};
    inside_ = context::fiber(std::allocator_arg, context::preallocated(memory.sp, stack_size, memory),
                             KeepStack{}, [this, job](context::fiber&& outside) {
                               outside_ = std::move(outside);
                               arrived(nullptr);
                               run(job);
                               leaving(nullptr);
                               return std::move(outside_);
                             });
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// A fibre that is not at rest is unwound by an exception out of its pause().
  ~Fiber() {
    cancelled_ = true;
    resume();
  }

  /// Runs the fibre until it pauses or comes to rest.
  void resume() {
#ifdef LORU_FIBER_ASAN
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, stack_.get(), stack_size);
#endif
    inside_ = std::move(inside_).resume();
#ifdef LORU_FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
  }

  /// Called on the fibre: back to whoever resumed it.
  void pause() {
    void* fake = nullptr;
    leaving(&fake);
    outside_ = std::move(outside_).resume();
    arrived(fake);
    if (cancelled_) throw Cancelled{};
  }

 private:
  struct Cancelled {};
  struct KeepStack {  // the stack belongs to the Fiber
    void deallocate(boost::context::stack_context&) noexcept {}
  };

  void run(void (*job)()) {
    try {
      while (!cancelled_) {
        job();
        pause();
      }
    } catch (const Cancelled&) {}
  }

  /// fake: where the stack's book-keeping is put until it is live again; null: it never will be.
  void leaving([[maybe_unused]] void** fake) {
#ifdef LORU_FIBER_ASAN
    __sanitizer_start_switch_fiber(fake, caller_, caller_size_);
#endif
  }
  void arrived([[maybe_unused]] void* fake) {
#ifdef LORU_FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, &caller_, &caller_size_);
#endif
  }

  std::unique_ptr<std::byte[]> stack_;
  boost::context::fiber inside_, outside_;
  const void* caller_ = nullptr;
  std::size_t caller_size_ = 0;
  bool cancelled_ = false;
};

/// Fibres at rest, kept for later launches of this OS thread.
class FiberPool {
 public:
  std::unique_ptr<Fiber> take(void (*job)()) {
    if (resting_.empty()) return std::make_unique<Fiber>(job);
    auto fiber = std::move(resting_.back());
    resting_.pop_back();
    return fiber;
  }
  void give(std::unique_ptr<Fiber> fiber) { resting_.push_back(std::move(fiber)); }

 private:
  std::vector<std::unique_ptr<Fiber>> resting_;
};

}  // namespace loru::emulator
