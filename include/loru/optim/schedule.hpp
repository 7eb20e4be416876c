#pragma once
// Learning rates over time.

#include <algorithm>
#include <cmath>
#include <numbers>

#include <loru/core/fields.hpp>

namespace loru::inline LORU_ISA::optim {

enum class ScheduleKind : unsigned char { constant, step, cosine };

/// A learning rate as a function of a count t of rounds or of local steps, from 0.
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  Index every = 10;      ///< step: multiply by gamma each `every` counts
  double gamma = 0.1;    ///< step: factor
  Index warmup = 0;      ///< the first `warmup` counts rise linearly: η·(t + 1) / (warmup + 1)
  double minimum = 0.0;  ///< cosine: rate at the end

  static constexpr auto fields() {
    using S = Schedule;
    return Fields{
        field("kind", &S::kind,
              words<ScheduleKind>({{"constant", ScheduleKind::constant},
                                   {"step", ScheduleKind::step},
                                   {"cosine", ScheduleKind::cosine}}),
              "the learning rate over time"),
        field("every", &S::every, range::at_least(1), "of step: rounds or steps between two changes"),
        field("gamma", &S::gamma, range::not_negative, "of step: factor of a change"),
        field("warmup", &S::warmup, range::at_least(0), "rounds or steps in which the rate rises at first"),
        field("min_learning_rate", &S::minimum, range::not_negative, "of cosine: the rate at the end")};
  }

  /// constant: η. step: η·γ^⌊t / every⌋. cosine over the counts after the warm-up, u = (t − warmup) / (total
  /// − warmup): min + (η − min)·(1 + cos πu) / 2 (Loshchilov and Hutter, arXiv 1608.03983).
  /// Throws ConfigError for a field outside its range.
  double rate(double base, Index t, Index total) const {
    check_fields(*this, "schedule");
    if (t < warmup) return base * static_cast<double>(t + 1) / static_cast<double>(warmup + 1);
    switch (kind) {
      case ScheduleKind::constant: return base;
      case ScheduleKind::step: return base * std::pow(gamma, static_cast<double>(t / every));
      case ScheduleKind::cosine: break;
    }
    const double length = static_cast<double>(total > warmup ? total - warmup : 1);
    const double u = std::min(1.0, static_cast<double>(t - warmup) / length);
    return minimum + (base - minimum) * 0.5 * (1.0 + std::cos(std::numbers::pi * u));
  }
};

}  // namespace loru::inline LORU_ISA::optim
