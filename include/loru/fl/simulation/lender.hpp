#pragma once
// Objects that threads borrow.

#include <functional>
#include <mutex>
#include <vector>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::fl {

/// A pool of objects that workers borrow: as many as work at the same time.
template <class T>
class Lender {
 public:
  explicit Lender(std::function<T()> make) : make_{std::move(make)} {}

  class Loan {
   public:
    Loan(Lender& lender, T value) : lender_{lender}, value_{std::move(value)} {}
    ~Loan() {
      std::lock_guard lock{lender_.mutex_};
      lender_.free_.push_back(std::move(value_));
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    T& operator*() { return value_; }

   private:
    Lender& lender_;
    T value_;
  };

  Loan borrow() {
    std::unique_lock lock{mutex_};
    if (free_.empty()) {
      lock.unlock();
      return {*this, make_()};
    }
    T value = std::move(free_.back());
    free_.pop_back();
    return {*this, std::move(value)};
  }

 private:
  std::function<T()> make_;
  std::mutex mutex_;
  std::vector<T> free_;
};

}  // namespace loru::inline LORU_ISA::fl
