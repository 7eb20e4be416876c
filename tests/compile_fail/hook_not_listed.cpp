// expect: has the hook H but its list `hooks` leaves it out
// A hook that would never be called.
#include <loru/fl/any_algorithm.hpp>

using namespace loru;

struct Forgetful {
  static constexpr std::string_view name = "forgetful";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<>;
  static constexpr auto fields() { return Fields{}; }

  bool sends(const nn::TensorId&) const { return true; }
};

fl::AnyAlgorithm<float> algorithm{Forgetful{}};
