// expect: has the hook H with another signature than fl/hooks.hpp asks for
// A hook that takes what it is not given.
#include <loru/fl/any_algorithm.hpp>

using namespace loru;

struct Unfitting {
  static constexpr std::string_view name = "unfitting";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::trains>;
  static constexpr auto fields() { return Fields{}; }

  bool trains(const nn::TensorId&) const { return true; }  // without the round
};

fl::AnyAlgorithm<float> algorithm{Unfitting{}};
