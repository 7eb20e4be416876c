// expect: lists the hook H but has no member of that name
// A misspelt hook: the one that is listed is not there.
#include <loru/fl/any_algorithm.hpp>

using namespace loru;

struct Misspelt {
  static constexpr std::string_view name = "misspelt";
  static constexpr bool low_rank = false;
  using hooks = fl::Hooks<fl::hook::after_round>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void after_rounds(fl::Server<T, D>&) const {}
};

fl::AnyAlgorithm<float> algorithm{Misspelt{}};
